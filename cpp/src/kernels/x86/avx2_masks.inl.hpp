#pragma once

// Moves the bytes that the bits of a mask choose.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "avx2_memory.inl.hpp"

namespace gradwire {
namespace {

// Indexed by an 8-bit mask: the places of its ones, as indices for a byte shuffle.
struct CompressTable {
  uint64_t places[256];
};

constexpr CompressTable make_compress_table() {
  CompressTable table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    unsigned found = 0;
    for (uint64_t i = 0; i < 8; ++i) {
      if (mask >> i & 1) table.places[mask] |= i << (8 * found++);
    }
  }
  return table;
}

constexpr CompressTable kCompress = make_compress_table();

// Indexed by an 8-bit mask: for each of its ones, the number of ones below it; for each of its
// zeros, 0x80, for which a shuffle gives 0.
struct ScatterTable {
  uint64_t ranks[256];
};

constexpr ScatterTable make_scatter_table() {
  ScatterTable table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    uint64_t found = 0;
    for (uint64_t i = 0; i < 8; ++i) {
      const bool one = mask >> i & 1;
      table.ranks[mask] |= (one ? found++ : 0x80) << (8 * i);
    }
  }
  return table;
}

constexpr ScatterTable kScatter = make_scatter_table();

// Packs the bytes of `v` that `mask` chooses together in `out`, and returns their end; may write 8
// bytes past it.
uint8_t* compress_bytes(__m256i v, uint32_t mask, uint8_t* out) {
  const uint64_t part[4] = {
      static_cast<uint64_t>(_mm256_extract_epi64(v, 0)),
      static_cast<uint64_t>(_mm256_extract_epi64(v, 1)),
      static_cast<uint64_t>(_mm256_extract_epi64(v, 2)),
      static_cast<uint64_t>(_mm256_extract_epi64(v, 3)),
  };
  for (unsigned k = 0; k < 4; ++k) {
    const uint32_t chosen = (mask >> (8 * k)) & 255;
    const __m128i places = _mm_cvtsi64_si128(static_cast<long long>(kCompress.places[chosen]));
    const __m128i bytes = _mm_cvtsi64_si128(static_cast<long long>(part[k]));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(bytes, places));
    out += __builtin_popcount(chosen);
  }
  return out;
}

// Writes `base` plus the place of each one in the mask, and returns their number. Writes four at a
// time, up to four past the last one: asking for each whether it is there would be mispredicted.
template <typename Place>
size_t write_places(uint64_t mask, Place base, Place* places) {
  const size_t count = static_cast<size_t>(__builtin_popcountll(mask));
  size_t written = 0;
  do {
    for (size_t k = 0; k < 4; ++k, mask &= mask - 1) {
      places[written + k] = static_cast<Place>(base + _tzcnt_u64(mask));
    }
    written += 4;
  } while (written < count);
  return count;
}

// For each byte of the mask: the number of ones in all bytes below it.
uint64_t ones_before(uint64_t mask) {
  uint64_t ones = mask - (mask >> 1 & 0x5555555555555555);
  ones = (ones & 0x3333333333333333) + (ones >> 2 & 0x3333333333333333);
  ones = (ones + (ones >> 4)) & 0x0F0F0F0F0F0F0F0F;
  return ones * 0x0101010101010100;
}

}  // namespace
}  // namespace gradwire
