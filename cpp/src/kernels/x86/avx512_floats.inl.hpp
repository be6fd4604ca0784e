#pragma once

// Floats from signs, and signs of floats, in sixteen lanes. What is left at the end goes through
// the functions in plain C++.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../float_kernels.hpp"
#include "../generic/float_lanes.inl.hpp"
#include "../generic/float_signs.inl.hpp"
#include "../generic/load_ahead.inl.hpp"

namespace gradwire {
namespace {

void avx512_signs(const float* x, size_t count, uint8_t* negative, uint8_t* nonzero) {
  const __m512i magnitude = _mm512_set1_epi32(kMagnitude);
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    uint64_t is_negative = 0;
    uint64_t is_nonzero = 0;
#pragma GCC unroll 4
    for (size_t k = 0; k < 64; k += 16) {
      load_ahead_on_intel<64>(x + i + k);
      const __m512i bits = _mm512_castps_si512(_mm512_loadu_ps(x + i + k));
      is_negative |= uint64_t{_mm512_movepi32_mask(bits)} << k;
      is_nonzero |= uint64_t{_mm512_test_epi32_mask(bits, magnitude)} << k;
    }
    store64(negative + i / 8, is_negative & is_nonzero);
    store64(nonzero + i / 8, is_nonzero);
  }
  sign_bits<GenericFloatSteps>(x + i, count - i, negative + i / 8, nonzero + i / 8);
}

// Bits are masks as they are.
template <bool HasZeros, bool Add>
void avx512_write_signs(const uint8_t* negative, const uint8_t* nonzero, size_t first, size_t count,
                        const float value[2], float* out) {
  const size_t to_byte = -first % 8;
  size_t i = to_byte < count ? to_byte : count;
  write_signs<HasZeros, Add>(negative, nonzero, first, i, value, out);
  const __m512 low = _mm512_set1_ps(value[0]);
  const __m512 high = _mm512_set1_ps(value[1]);
  for (; i + 16 <= count; i += 16) {
    load_ahead_on_intel<64>(out + i);
    const size_t byte = (first + i) / 8;
    __m512 v = _mm512_mask_blend_ps(load16(negative + byte), low, high);
    if constexpr (HasZeros) v = _mm512_maskz_mov_ps(load16(nonzero + byte), v);
    if constexpr (Add) v = _mm512_add_ps(_mm512_loadu_ps(out + i), v);
    _mm512_storeu_ps(out + i, v);
  }
  write_signs<HasZeros, Add>(negative, nonzero, first + i, count - i, value, out + i);
}

void avx512_from_signs(const uint8_t* negative, const uint8_t* nonzero, size_t first, size_t count,
                       const float value[2], bool add, float* out) {
  if (nonzero == nullptr) {
    return add ? avx512_write_signs<false, true>(negative, nonzero, first, count, value, out)
               : avx512_write_signs<false, false>(negative, nonzero, first, count, value, out);
  }
  return add ? avx512_write_signs<true, true>(negative, nonzero, first, count, value, out)
             : avx512_write_signs<true, false>(negative, nonzero, first, count, value, out);
}

}  // namespace
}  // namespace gradwire
