#pragma once

// Maps of bytes.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../byte_kernels.hpp"
#include "../generic/byte_sets.inl.hpp"
#include "avx512_words.inl.hpp"

namespace gradwire {
namespace {

// Each byte is looked up in both halves of the map, of 128 entries each; its highest bit then
// chooses one of the two results.
void avx512_map_bytes(const ByteMap* map, const uint8_t* in, size_t size, uint8_t* out) {
  const __m512i table[4] = {Avx512Words::load(map->to), Avx512Words::load(map->to + 64),
                            Avx512Words::load(map->to + 128), Avx512Words::load(map->to + 192)};
  size_t i = 0;
  for (; i + 64 <= size; i += 64) {
    const __m512i v = Avx512Words::load(in + i);
    const __m512i low = _mm512_permutex2var_epi8(table[0], v, table[1]);
    const __m512i high = _mm512_permutex2var_epi8(table[2], v, table[3]);
    Avx512Words::store(out + i, _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(v), high));
  }
  generic_map_bytes(map, in + i, size - i, out + i);
}

}  // namespace
}  // namespace gradwire
