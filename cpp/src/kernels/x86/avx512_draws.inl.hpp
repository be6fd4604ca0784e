#pragma once

// The random numbers of generic/float_lanes.inl.hpp, sixteen hashes at a time.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "../float_kernels.hpp"
#include "../generic/float_lanes.inl.hpp"

namespace gradwire {
namespace {

// The reference makes eight hashes, for the elements 0 to 7 (their first draws) and 8 to 15 (their
// second draws) of 16. Here, the lower lanes belong to 16 elements and the upper ones to the next
// 16, so that all lanes keep their place if elements are loaded as two_groups() does.
struct Avx512Draws {
  static constexpr bool kHalves = false;
  __m512i counter;
  __m512i key;

  static constexpr uint32_t kGolden = LaneDraws<GenericFloatSteps>::kGolden;
  static __m512i all(uint32_t number) { return _mm512_set1_epi32(static_cast<int>(number)); }

  explicit Avx512Draws(const RandomStream& stream) {
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i number = _mm512_add_epi32(lane, all(stream.first));
    counter = _mm512_add_epi32(_mm512_mullo_epi32(number, all(kGolden)), all(stream.key[0]));
    key = all(stream.key[1]);
  }
  // Skips the draws of `count` elements, a multiple of 2 * kLanes.
  void skip(size_t count) {
    counter = _mm512_add_epi32(counter, all(static_cast<uint32_t>(count / 2) * kGolden));
  }
  // Hashes for the next 32 elements.
  [[gnu::always_inline]] __m512i next() {
    __m512i x = counter;
    counter = _mm512_add_epi32(counter, all(16 * kGolden));
    x = _mm512_ternarylogic_epi32(x, _mm512_srli_epi32(x, 16), key, 0x96);  // x ^ x >> 16 ^ key
    x = _mm512_mullo_epi32(x, all(0x21F0AAAD));
    x = _mm512_xor_si512(x, _mm512_srli_epi32(x, 15));
    x = _mm512_mullo_epi32(x, all(0x735A2D97));
    return _mm512_xor_si512(x, _mm512_srli_epi32(x, 15));
  }
};

// Rounds to nearest, like HalfDraws.
struct Avx512HalfDraws {
  static constexpr bool kHalves = true;
  static void skip(size_t) {}
};

// The elements 0 to 7 and 16 to 23 at p.
[[gnu::always_inline]] inline __m512 two_groups(const float* p) {
  return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(p)), _mm256_loadu_ps(p + 16), 1);
}

}  // namespace
}  // namespace gradwire
