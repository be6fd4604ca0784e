#pragma once

// CRC-32C by carry-less products of 64 bytes.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "../generic/memory.inl.hpp"
#include "../kernels.hpp"
#include "avx2_crc32c.inl.hpp"
#include "avx512_memory.inl.hpp"

namespace gradwire {
namespace {

// Factors for the two halves of each 16 bytes that advance them by `bits` zero bits. The first
// half is 64 bits further away.
template <uint64_t Bits>
__m512i advance_by() {
  constexpr uint32_t kFirst = crc_shift_factor(Bits + 64);
  constexpr uint32_t kSecond = crc_shift_factor(Bits);
  return _mm512_broadcast_i32x4(_mm_set_epi64x(kSecond, kFirst));
}

// `v`, advanced, plus `next`.
[[gnu::always_inline]] inline __m512i fold(__m512i v, __m512i factors, __m512i next) {
  constexpr int kSum = 0x96;  // of three
  return _mm512_ternarylogic_epi64(_mm512_clmulepi64_epi128(v, factors, 0x00),
                                   _mm512_clmulepi64_epi128(v, factors, 0x11), next, kSum);
}

// Advances four sums side by side over 256 bytes each time. What remains of them, 64 bytes, has the
// same checksum as all bytes before.
uint32_t avx512_crc32c(uint32_t crc, const uint8_t* data, size_t size) {
  constexpr size_t kWorthIt = 1024;
  if (size < kWorthIt) return avx2_crc32c(crc, data, size);
  const __m512i far = advance_by<8 * 256>();
  const __m512i near = advance_by<8 * 64>();
  const auto next = [&](size_t k) { return load512(data + 64 * k); };
  const __m512i start =
      _mm512_maskz_mov_epi8(15, _mm512_castsi128_si512(_mm_cvtsi32_si128(static_cast<int>(~crc))));
  __m512i sum[4] = {_mm512_xor_si512(next(0), start), next(1), next(2), next(3)};
  for (data += 256, size -= 256; size >= 256; data += 256, size -= 256) {
    for (size_t k = 0; k < 4; ++k) sum[k] = fold(sum[k], far, next(k));
  }
  __m512i last = sum[0];
  for (size_t k = 1; k < 4; ++k) last = fold(last, near, sum[k]);
  for (; size >= 64; data += 64, size -= 64) last = fold(last, near, next(0));
  uint8_t rest[128];
  store512(rest, last);
  memcpy(rest + 64, data, size);
  _mm256_zeroupper();  // rule 4 of kernels.hpp
  return avx2_crc32c(~uint32_t{0}, rest, 64 + size);
}

}  // namespace
}  // namespace gradwire
