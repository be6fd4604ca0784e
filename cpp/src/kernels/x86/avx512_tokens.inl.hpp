#pragma once

// The steps of generic/tokens.inl.hpp in AVX-512.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../generic/bits.inl.hpp"
#include "../generic/tokens.inl.hpp"
#include "../token_kernels.hpp"
#include "avx2_tokens.inl.hpp"
#include "avx512_words.inl.hpp"

namespace gradwire {
namespace {

struct Avx512TokenSteps : Avx2TokenSteps {
  // Packs the values and places of the nonzero ones among 64 bytes; the places, of 16 bits each,
  // take two registers.
  static size_t find(const TokenWindow& window, size_t, NonZeros& nonzeros) {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i step = _mm512_set1_epi16(64);
    __m512i low = iota(0);
    __m512i high = iota(32);
    size_t found = 0;
    size_t i = 0;
    for (; i + 64 <= window.size; i += 64) {
      const __m512i v = Avx512Words::load(window.bytes + i);
      const uint64_t mask = _mm512_cmpneq_epi8_mask(v, zero);
      const uint32_t first = static_cast<uint32_t>(mask);
      Avx512Words::store(nonzeros.value + found, _mm512_maskz_compress_epi8(mask, v));
      store_places(nonzeros.place + found, _mm512_maskz_compress_epi16(first, low));
      found += count_ones(first);
      const uint32_t second = static_cast<uint32_t>(mask >> 32);
      store_places(nonzeros.place + found, _mm512_maskz_compress_epi16(second, high));
      found += count_ones(second);
      low = _mm512_add_epi16(low, step);
      high = _mm512_add_epi16(high, step);
    }
    return nonzeros_from(window, i, nonzeros, found);
  }

 private:
  static void store_places(uint16_t* p, __m512i v) { _mm512_storeu_si512(p, v); }
  static __m512i iota(uint16_t first) {
    uint16_t places[32];
    for (uint16_t k = 0; k < 32; ++k) places[k] = static_cast<uint16_t>(first + k);
    return _mm512_loadu_si512(places);
  }
};

}  // namespace
}  // namespace gradwire
