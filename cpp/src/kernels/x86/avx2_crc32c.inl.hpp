#pragma once

// CRC-32C with the processor's instruction for it.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../generic/memory.inl.hpp"

namespace gradwire {
namespace {

// The product of two polynomials modulo the checksum's; the highest bit is the coefficient of x^0.
constexpr uint32_t crc_multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = 0x80000000; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = (b & 1) ? (b >> 1) ^ 0x82F63B78 : b >> 1;
  }
  return product;
}

// x^exponent, modulo the checksum's polynomial.
constexpr uint32_t crc_power(uint64_t exponent) {
  uint32_t power = 0x40000000;  // x
  uint32_t result = 0x80000000;
  for (uint64_t e = exponent; e != 0; e >>= 1) {
    if (e & 1) result = crc_multiply(result, power);
    power = crc_multiply(power, power);
  }
  return result;
}

// x^(bits - 33). A carry-less multiplication by this factor, followed by crc32, advances a CRC by
// `bits` zero bits.
constexpr uint32_t crc_shift_factor(uint64_t bits) { return crc_power(bits - 33); }

uint32_t crc_shift(uint32_t crc, uint32_t factor) {
  const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(crc)),
                                               _mm_cvtsi32_si128(static_cast<int>(factor)), 0);
  return static_cast<uint32_t>(_mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(product))));
}

// Computes three CRCs at once, because crc32 takes three cycles but can start in every cycle.
uint32_t avx2_crc32c(uint32_t crc, const uint8_t* data, size_t size) {
  constexpr size_t kPart = 1024;
  constexpr uint32_t kOne = crc_shift_factor(8 * kPart);
  constexpr uint32_t kTwo = crc_shift_factor(16 * kPart);
  uint64_t a = static_cast<uint32_t>(~crc);
  for (; size >= 3 * kPart; data += 3 * kPart, size -= 3 * kPart) {
    uint64_t b = 0;
    uint64_t c = 0;
    for (size_t i = 0; i < kPart; i += 8) {
      a = _mm_crc32_u64(a, load64(data + i));
      b = _mm_crc32_u64(b, load64(data + kPart + i));
      c = _mm_crc32_u64(c, load64(data + 2 * kPart + i));
    }
    a = crc_shift(static_cast<uint32_t>(a), kTwo) ^ crc_shift(static_cast<uint32_t>(b), kOne) ^
        static_cast<uint32_t>(c);
  }
  for (; size >= 8; data += 8, size -= 8) a = _mm_crc32_u64(a, load64(data));
  uint32_t rest = static_cast<uint32_t>(a);
  for (; size > 0; ++data, --size) rest = _mm_crc32_u8(rest, *data);
  return ~rest;
}

}  // namespace
}  // namespace gradwire
