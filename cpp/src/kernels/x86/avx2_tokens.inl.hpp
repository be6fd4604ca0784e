#pragma once

// The steps of generic/tokens.inl.hpp in AVX2.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../generic/bits.inl.hpp"
#include "../generic/load_ahead.inl.hpp"
#include "../generic/memory.inl.hpp"
#include "../generic/tokens.inl.hpp"
#include "../token_kernels.hpp"
#include "avx2_byte_sets.inl.hpp"
#include "avx2_masks.inl.hpp"
#include "avx2_memory.inl.hpp"

namespace gradwire {
namespace {

// One bit for each of 64 bytes: whether it is not 0.
uint64_t nonzero_bits(const uint8_t* data) {
  const __m256i zero = _mm256_setzero_si256();
  const auto zeros = [&](const uint8_t* p) -> uint64_t {
    return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(load256(p), zero)));
  };
  return ~(zeros(data) | zeros(data + 32) << 32);
}

// For windows with few nonzero bytes. Finds four at a time without checking that there are that
// many; surplus entries are overwritten later.
template <uint64_t (*NonzeroBits)(const uint8_t*), bool Fetches>
size_t find_few(const TokenWindow& window, NonZeros& nonzeros) {
  size_t found = 0;
  size_t i = 0;
  for (; i + 64 <= window.size; i += 64) {
    uint64_t mask = NonzeroBits(window.bytes + i);
    if constexpr (Fetches) load_ahead<64>(window.bytes + i);  // the same place in the next window
    const size_t end = found + static_cast<size_t>(__builtin_popcountll(mask));
    do {
      for (size_t k = 0; k < 4; ++k) {
        nonzeros.place[found + k] = static_cast<uint16_t>(i + _tzcnt_u64(mask));
        mask = _blsr_u64(mask);
      }
      found += 4;
    } while (found < end);
    found = end;
  }
#pragma GCC unroll 8
  for (size_t k = 0; k < found; ++k) nonzeros.value[k] = window.bytes[nonzeros.place[k]];
  return nonzeros_from(window, i, nonzeros, found);
}

template <uint64_t (*NonzeroBits)(const uint8_t*)>
size_t find_few_nonzeros(const TokenWindow& window, NonZeros& nonzeros) {
  const auto find = is_intel() ? find_few<NonzeroBits, true> : find_few<NonzeroBits, false>;
  return find(window, nonzeros);
}

// Indexed by an 8-bit mask: the places of its ones, as byte indices that shuffle 16-bit elements.
struct CompressPairs {
  alignas(16) uint8_t places[256][16];
};

constexpr CompressPairs make_compress_pairs() {
  CompressPairs table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    for (unsigned i = 0; i < 8; ++i) {
      const unsigned from = kCompress.places[mask] >> (8 * i) & 255;
      table.places[mask][2 * i] = static_cast<uint8_t>(2 * from);
      table.places[mask][2 * i + 1] = static_cast<uint8_t>(2 * from + 1);
    }
  }
  return table;
}

constexpr CompressPairs kCompressPairs = make_compress_pairs();

// Writes a pair for each nonzero byte of a block, packed together: its place << 8 | the byte.
// Returns the end of the pairs; may write 8 more past it.
uint16_t* find_in_block(const uint8_t* block, uint16_t* pairs) {
  const __m256i zero = _mm256_setzero_si256();
  __m128i places = _mm_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (size_t i = 0; i < kBlockSize; i += 32) {
    const __m256i zeros = _mm256_cmpeq_epi8(load256(block + i), zero);
    const uint32_t mask = ~static_cast<uint32_t>(_mm256_movemask_epi8(zeros));
    const auto move = [&](__m128i v, unsigned k) {
      const uint32_t own = mask >> (8 * k) & 255;
      const __m128i order = load128(kCompressPairs.places[own]);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(pairs), _mm_shuffle_epi8(v, order));
      pairs += __builtin_popcount(own);
    };
    for (unsigned k = 0; k < 4; k += 2) {
      const __m128i bytes = load128(block + i + 8 * k);
      move(_mm_unpacklo_epi8(bytes, places), k);
      move(_mm_unpackhi_epi8(bytes, places), k + 1);
      places = _mm_add_epi8(places, _mm_set1_epi8(16));
    }
  }
  return pairs;
}

// For windows with many nonzero bytes. Pairs are read long after they are written: the stores
// overlap, and a load soon after them would have to wait until all of them have reached the cache.
size_t find_many_nonzeros(const TokenWindow& window, NonZeros& nonzeros) {
  uint16_t pairs[kTokenWindow + kSparePlaces];
  size_t ends[kTokenWindow / kBlockSize];
  const size_t whole = window.size / kBlockSize;
  uint16_t* end = pairs;
  for (size_t b = 0; b < whole; ++b) {
    load_ahead_on_intel<kBlockSize>(window.bytes + b * kBlockSize);
    end = find_in_block(window.bytes + b * kBlockSize, end);
    ends[b] = static_cast<size_t>(end - pairs);
  }
  size_t begin = 0;
  for (size_t b = 0; b < whole; ++b) {
    const __m256i base = _mm256_set1_epi16(static_cast<int16_t>(b * kBlockSize));
    for (size_t k = begin; k < ends[b]; k += 16) {
      const __m256i pair = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs + k));
      const __m256i value = _mm256_and_si256(pair, _mm256_set1_epi16(0xFF));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(nonzeros.place + k),
                          _mm256_add_epi16(_mm256_srli_epi16(pair, 8), base));
      _mm_storeu_si128(
          reinterpret_cast<__m128i*>(nonzeros.value + k),
          _mm_packus_epi16(_mm256_castsi256_si128(value), _mm256_extracti128_si256(value, 1)));
    }
    begin = ends[b];
  }
  return nonzeros_from(window, whole * kBlockSize, nonzeros, begin);
}

// Indexed by an 8-bit mask: indices for a byte shuffle that takes bytes 0 to 7 in order and inserts
// byte 8 before each of those whose bit is 1.
struct InsertBefore {
  alignas(16) uint8_t places[256][16];
};

constexpr InsertBefore make_insert_before() {
  InsertBefore table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    unsigned size = 0;
    for (unsigned i = 0; i < 8; ++i) {
      if (mask >> i & 1) table.places[mask][size++] = 8;
      table.places[mask][size++] = static_cast<uint8_t>(i);
    }
  }
  return table;
}

constexpr InsertBefore kInsertBefore = make_insert_before();

constexpr size_t kManyNonzeros = kTokenWindow / 12;

struct Avx2TokenSteps {
  static size_t find(const TokenWindow& window, size_t expected, NonZeros& nonzeros) {
    return expected < kManyNonzeros ? find_few_nonzeros<nonzero_bits>(window, nonzeros)
                                    : find_many_nonzeros(window, nonzeros);
  }

  static size_t look_up(const TokenTable& table, NonZeros& nonzeros, size_t begin, size_t end) {
    // Copies of the last value fill the last vector, so that no rest is searched byte by byte.
    const char last = static_cast<char>(nonzeros.value[end - 1]);
    store256(nonzeros.value + end, _mm256_set1_epi8(last));
    const size_t whole = (end - begin + 31) / 32 * 32;
    const size_t known = avx2_find_outside(&table.known, nonzeros.value + begin, whole);
    avx2_map_bytes(&table.firsts, nonzeros.value + begin, (known + 31) / 32 * 32,
                   nonzeros.first + begin);
    return known < end - begin ? begin + known : end;
  }

  // Treats 16 values at a time and inserts at most one token of zeros before a value; stops at a
  // value that needs more. What is stored past the last token is overwritten later.
  static size_t run(const NonZeros& nonzeros, size_t begin, size_t end, size_t max_zeros,
                    uint8_t zeros_token, uint8_t*& tokens) {
    const __m256i one = _mm256_set1_epi16(1);
    const __m256i limit = _mm256_set1_epi16(static_cast<int16_t>(max_zeros));
    const __m256i most = _mm256_sub_epi16(limit, one);
    const __m128i zeros_tokens = _mm_set1_epi8(static_cast<char>(zeros_token));
    const auto places = [&](size_t i) {
      return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(nonzeros.place + i));
    };
    const auto narrow = [](__m256i v) {
      return _mm_packus_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    };
    const auto bits = [](__m256i v) {
      return static_cast<unsigned>(_mm_movemask_epi8(
          _mm_packs_epi16(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1))));
    };
    for (size_t k = begin; k < end; k += 16) {
      const __m256i all_zeros = _mm256_sub_epi16(_mm256_sub_epi16(places(k), places(k - 1)), one);
      const __m256i too_many = _mm256_cmpgt_epi16(all_zeros, most);
      const __m256i zeros = _mm256_sub_epi16(all_zeros, _mm256_and_si256(too_many, limit));
      const __m128i first = _mm_loadu_si128(reinterpret_cast<const __m128i*>(nonzeros.first + k));
      const __m128i last = _mm_add_epi8(first, narrow(zeros));

      const unsigned stop = 1u << (end - k < 16 ? end - k : 16);
      const unsigned good = _tzcnt_u32(bits(_mm256_cmpgt_epi16(zeros, most)) | stop);
      const unsigned inserted = bits(too_many) & ((1u << good) - 1);
      const unsigned low = inserted & 255;
      const auto store = [&](uint8_t* p, __m128i v, unsigned mask) {
        const __m128i order = load128(kInsertBefore.places[mask]);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm_shuffle_epi8(v, order));
      };
      store(tokens, _mm_unpacklo_epi64(last, zeros_tokens), low);
      store(tokens + 8 + __builtin_popcount(low), _mm_unpackhi_epi64(last, zeros_tokens),
            inserted >> 8);
      tokens += good + static_cast<unsigned>(__builtin_popcount(inserted));
      if (good < 16) return k - begin + good;
    }
    return end - begin;
  }
};

}  // namespace
}  // namespace gradwire
