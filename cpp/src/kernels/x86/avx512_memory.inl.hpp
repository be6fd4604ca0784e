#pragma once

// Loads and stores vectors of 64 bytes at any address, aligned or not, and looks up bytes in them.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

namespace gradwire {
namespace {

__m512i load512(const void* p) { return _mm512_loadu_si512(p); }

void store512(void* p, __m512i v) { _mm512_storeu_si512(p, v); }

__m256i load_32(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }

// The bytes of a table of 256 at the places in `v`: each is looked up in both halves of the table,
// and its highest bit chooses one of the two results.
[[gnu::always_inline]] inline __m512i looked_up_in(const __m512i (&table)[4], __m512i v) {
  const __m512i low = _mm512_permutex2var_epi8(table[0], v, table[1]);
  const __m512i high = _mm512_permutex2var_epi8(table[2], v, table[3]);
  return _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(v), high);
}

}  // namespace
}  // namespace gradwire
