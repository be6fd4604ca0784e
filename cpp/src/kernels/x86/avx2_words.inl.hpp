#pragma once

// Operations on 64 bytes with a bit for each byte; see generic/pivot.inl.hpp.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "avx2_masks.inl.hpp"
#include "avx2_memory.inl.hpp"

namespace gradwire {
namespace {

struct Avx2Words {
  static __m256i all(uint8_t byte) { return _mm256_set1_epi8(static_cast<char>(byte)); }
  static void store(uint8_t* p, __m256i v) { store256(p, v); }
  static uint32_t high_bits(__m256i v) { return static_cast<uint32_t>(_mm256_movemask_epi8(v)); }

  static uint32_t at_least_32(__m256i v, __m256i least) {
    return high_bits(_mm256_cmpeq_epi8(_mm256_max_epu8(v, least), v));
  }
  static uint64_t at_least(const uint8_t* bytes, uint8_t least) {
    return at_least_32(load256(bytes), all(least)) |
           uint64_t{at_least_32(load256(bytes + 32), all(least))} << 32;
  }

  // Shifts the bit to the top of its byte. Bits that enter from the neighboring byte stay below it.
  static uint32_t bit_32(__m256i v, uint8_t first, unsigned bit) {
    const __m128i up = _mm_cvtsi32_si128(static_cast<int>(7 - bit));
    return high_bits(_mm256_sll_epi16(_mm256_sub_epi8(v, all(first)), up));
  }
  static uint64_t bit(const uint8_t* bytes, uint8_t first, unsigned bit) {
    return bit_32(load256(bytes), first, bit) | uint64_t{bit_32(load256(bytes + 32), first, bit)}
                                                    << 32;
  }

  static uint64_t extract(uint64_t bits, uint64_t mask) { return _pext_u64(bits, mask); }
  static uint64_t deposit(uint64_t bits, uint64_t mask) { return _pdep_u64(bits, mask); }

  using Vector = __m256i;
  static constexpr size_t kStep = 32;
  static __m256i load(const uint8_t* p) { return load256(p); }
  static __m256i add(__m256i a, __m256i b) { return _mm256_add_epi8(a, b); }
  // `delta` where a bit of the mask at `p` is 1, and 0 elsewhere.
  static __m256i where(const uint8_t* p, __m256i delta) {
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bits = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
    int mask;
    memcpy(&mask, p, sizeof(mask));
    const __m256i eight = _mm256_shuffle_epi8(_mm256_set1_epi32(mask), spread);
    const __m256i ones = _mm256_cmpeq_epi8(_mm256_and_si256(eight, bits), bits);
    return _mm256_and_si256(ones, delta);
  }

  // In eighths of a pass: moving 64 elements takes 8 shuffles and 8 stores, each with two or three
  // loads.
  static constexpr unsigned kMoveCost = 24;
  static void gather(const uint8_t* bytes, uint64_t mask, uint8_t* out) {
    const uint64_t before = ones_before(mask);
    for (unsigned k = 0; k < 8; ++k) {
      const __m128i places = load_8(&kCompress.places[mask >> (8 * k) & 255]);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(out + (before >> (8 * k) & 255)),
                       _mm_shuffle_epi8(load_8(bytes + 8 * k), places));
    }
  }
  static void scatter_add(const uint8_t* list, uint64_t mask, uint8_t* bytes) {
    const uint64_t before = ones_before(mask);
    for (unsigned k = 0; k < 8; ++k) {
      const __m128i ranks = load_8(&kScatter.ranks[mask >> (8 * k) & 255]);
      const __m128i spread = _mm_shuffle_epi8(load_8(list + (before >> (8 * k) & 255)), ranks);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(bytes + 8 * k),
                       _mm_add_epi8(load_8(bytes + 8 * k), spread));
    }
  }
};

}  // namespace
}  // namespace gradwire
