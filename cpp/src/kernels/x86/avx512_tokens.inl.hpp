#pragma once

// The steps of generic/tokens.inl.hpp in AVX-512. Bytes are compressed in a register and then
// stored: compressing to memory takes three times as long, and more on Zen 4.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "../generic/bits.inl.hpp"
#include "../generic/load_ahead.inl.hpp"
#include "../generic/memory.inl.hpp"
#include "../generic/tokens.inl.hpp"
#include "../token_kernels.hpp"
#include "avx2_tokens.inl.hpp"
#include "avx512_memory.inl.hpp"

namespace gradwire {
namespace {

uint64_t avx512_nonzero_bits(const uint8_t* data) {
  const __m512i v = load512(data);
  return _mm512_test_epi8_mask(v, v);
}

struct Avx512TokenSteps {
  static size_t find(const TokenWindow& window, size_t expected, NonZeros& nonzeros) {
    constexpr size_t kMany = kTokenWindow / 64;
    if (expected < kMany) return find_few_nonzeros<avx512_nonzero_bits>(window, nonzeros);
    return is_intel() ? find_many<true>(window, nonzeros) : find_many<false>(window, nonzeros);
  }

  // Places in a block take a byte each; once the whole window is searched, they grow to two bytes,
  // of which a block has the higher one in common.
  template <bool Fetches>
  static size_t find_many(const TokenWindow& window, NonZeros& nonzeros) {
    uint8_t low[kTokenWindow + 64];
    size_t ends[kTokenWindow / kBlockSize];
    const size_t whole = window.size / kBlockSize;
    __m512i places = load512(kPlaces.of);
    size_t found = 0;
    for (size_t b = 0; b < whole; ++b) {
#pragma GCC unroll 4
      for (size_t i = b * kBlockSize; i < (b + 1) * kBlockSize; i += 64) {
        const __m512i v = load512(window.bytes + i);
        if constexpr (Fetches) load_ahead<64>(window.bytes + i);  // the same of the next window
        const uint64_t mask = _mm512_test_epi8_mask(v, v);
        store512(nonzeros.value + found, _mm512_maskz_compress_epi8(mask, v));
        store512(low + found, _mm512_maskz_compress_epi8(mask, places));
        places = _mm512_add_epi8(places, _mm512_set1_epi8(64));
        found += static_cast<size_t>(__builtin_popcountll(mask));
      }
      ends[b] = found;
    }
    size_t k = 0;
    for (size_t b = 0; b < whole; ++b) {
      const __m512i base = _mm512_set1_epi16(static_cast<int16_t>(b * kBlockSize));
      for (; k < ends[b]; k += 32) {
        const __m512i in_block = _mm512_cvtepu8_epi16(load_32(low + k));
        store512(nonzeros.place + k, _mm512_add_epi16(in_block, base));
      }
      k = ends[b];
    }
    return nonzeros_from(window, whole * kBlockSize, nonzeros, found);
  }

  // The row of a set is looked up in each half of the set: a shuffle gives 0 for an index with the
  // highest bit.
  static size_t look_up(const TokenTable& table, NonZeros& nonzeros, size_t begin, size_t end) {
    const __m512i bits = _mm512_set1_epi64(static_cast<long long>(0x8040201008040201));
    const __m512i lower = four_times(table.known.rows[0]);
    const __m512i upper = four_times(table.known.rows[1]);
    const __m512i low_half = _mm512_set1_epi8(15);
    const __m512i highest = _mm512_set1_epi8(-128);
    const uint8_t* const to = table.firsts.to;
    const __m512i firsts[4] = {load512(to), load512(to + 64), load512(to + 128), load512(to + 192)};
    for (size_t k = begin; k < end; k += 64) {
      const __m512i v = load512(nonzeros.value + k);
      store512(nonzeros.first + k, looked_up_in(firsts, v));
      const __m512i row = _mm512_or_si512(_mm512_shuffle_epi8(lower, v),
                                          _mm512_shuffle_epi8(upper, _mm512_xor_si512(v, highest)));
      const __m512i bit =
          _mm512_shuffle_epi8(bits, _mm512_and_si512(_mm512_srli_epi16(v, 4), low_half));
      const uint64_t unknown = _mm512_testn_epi8_mask(row, bit) & first_ones(end - k);
      if (unknown != 0) return k + static_cast<size_t>(__builtin_ctzll(unknown));
    }
    return end;
  }

  // Treats 32 values at a time and inserts at most one token of zeros before a value; stops at a
  // value that needs more. Of each two places, the first is for a token of zeros and the second for
  // a value: extracting the places of values from those that are used tells where values go.
  static size_t run(const NonZeros& nonzeros, size_t begin, size_t end, size_t max_zeros,
                    uint8_t zeros_token, uint8_t*& tokens) {
    constexpr uint64_t kValues = 0xAAAAAAAAAAAAAAAA;
    const __m512i limit = _mm512_set1_epi16(static_cast<int16_t>(max_zeros));
    const __m512i one = _mm512_set1_epi16(1);
    const __m512i zeros_tokens = _mm512_set1_epi8(static_cast<char>(zeros_token));
    for (size_t k = begin; k < end; k += 32) {
      const __m512i distance =
          _mm512_sub_epi16(load512(nonzeros.place + k), load512(nonzeros.place + k - 1));
      const __m512i all_zeros = _mm512_sub_epi16(distance, one);
      const uint32_t too_many = _mm512_cmpge_epu16_mask(all_zeros, limit);
      const __m512i zeros = _mm512_mask_sub_epi16(all_zeros, too_many, all_zeros, limit);
      const uint32_t bad = _mm512_mask_cmpge_epu16_mask(too_many, zeros, limit);
      const __m256i last =
          _mm256_add_epi8(load_32(nonzeros.first + k), _mm512_cvtepi16_epi8(zeros));
      const uint64_t stop = uint64_t{1} << (end - k < 32 ? end - k : 32);
      const size_t good = static_cast<size_t>(__builtin_ctzll(bad | stop));
      const uint64_t inserted = too_many & first_ones(good);
      const uint64_t used = _pdep_u64(inserted, ~kValues) | kValues;
      const __m512i all = _mm512_mask_expand_epi8(zeros_tokens, _pext_u64(kValues, used),
                                                  _mm512_castsi256_si512(last));
      const size_t count = good + static_cast<size_t>(__builtin_popcountll(inserted));
      if (end - k >= 64) {  // at least 32 more tokens follow: there is room for 64
        store512(tokens, all);
      } else {
        _mm512_mask_storeu_epi8(tokens, first_ones(count), all);
      }
      tokens += count;
      if (good < 32) return k - begin + good;
    }
    return end - begin;
  }

 private:
  struct Places {
    uint8_t of[64];
  };
  static constexpr Places kPlaces = [] {
    Places places{};
    for (uint8_t k = 0; k < 64; ++k) places.of[k] = k;
    return places;
  }();
  static __m512i four_times(const uint8_t row[16]) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row)));
  }
};

}  // namespace
}  // namespace gradwire
