#pragma once

// Sets and maps of bytes.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../byte_kernels.hpp"
#include "../generic/byte_sets.inl.hpp"
#include "avx2_memory.inl.hpp"

namespace gradwire {
namespace {

// A shuffle gives 0 for every index byte whose highest bit is set. So each half of the set gets a
// shuffle of its own, and the two results are ORed.
size_t avx2_find_outside(const ByteSet* set, const uint8_t* data, size_t size) {
  constexpr uint8_t kBits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const __m256i bits = twice(kBits);
  const __m256i lower = twice(set->rows[0]);
  const __m256i upper = twice(set->rows[1]);
  const __m256i low_half = _mm256_set1_epi8(15);
  const __m256i highest = _mm256_set1_epi8(-128);
  for (size_t i = 0; i + 32 <= size; i += 32) {
    const __m256i v = load256(data + i);
    const __m256i row = _mm256_or_si256(_mm256_shuffle_epi8(lower, v),
                                        _mm256_shuffle_epi8(upper, _mm256_xor_si256(v, highest)));
    const __m256i bit =
        _mm256_shuffle_epi8(bits, _mm256_and_si256(_mm256_srli_epi16(v, 4), low_half));
    if (!_mm256_testc_si256(row, bit)) return i + generic_find_outside(set, data + i, 32);
  }
  const size_t done = size / 32 * 32;
  return done + generic_find_outside(set, data + done, size - done);
}

// Does one shuffle for each row of 16 bytes. A byte outside the row gets an index with the highest
// bit set, for which a shuffle gives 0.
template <unsigned Rows>
void map_rows(const ByteMap& map, const uint8_t* in, size_t size, uint8_t* out) {
  __m256i row[Rows];
  __m256i table[Rows];
  for (unsigned k = 0; k < Rows; ++k) {
    row[k] = _mm256_set1_epi8(static_cast<char>(map.row[k] << 4));
    table[k] = twice(map.to + 16 * map.row[k]);
  }
  const __m256i past_row = _mm256_set1_epi8(0x70);
  const auto mapped = [&](__m256i v) {
    __m256i sum = _mm256_setzero_si256();
    for (unsigned k = 0; k < Rows; ++k) {
      const __m256i place = _mm256_adds_epu8(_mm256_xor_si256(v, row[k]), past_row);
      sum = _mm256_or_si256(sum, _mm256_shuffle_epi8(table[k], place));
    }
    return sum;
  };
  size_t i = 0;
  for (; i + 32 <= size; i += 32) store256(out + i, mapped(load256(in + i)));
  generic_map_bytes(&map, in + i, size - i, out + i);
}

void avx2_map_bytes(const ByteMap* map, const uint8_t* in, size_t size, uint8_t* out) {
  if (map->rows <= 1) return map_rows<1>(*map, in, size, out);
  if (map->rows <= 2) return map_rows<2>(*map, in, size, out);
  if (map->rows <= 4) return map_rows<4>(*map, in, size, out);
  if (map->rows <= 8) return map_rows<8>(*map, in, size, out);
  map_rows<16>(*map, in, size, out);
}

}  // namespace
}  // namespace gradwire
