#pragma once

// Encodes bytes, each as its code word of up to 16 bits, 64 at a time.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "../code_kernels.hpp"
#include "../generic/encode_bytes.inl.hpp"
#include "../generic/memory.inl.hpp"
#include "../kernels.hpp"
#include "avx512_memory.inl.hpp"

namespace gradwire {
namespace {

// By byte: both bytes of its word, and the bits by which the word is shorter than 16. These are
// negative if it is longer.
struct SplitWords {
  uint8_t low[256];
  uint8_t high[256];
  uint8_t spare[256];
  uint64_t used[4];  // a bit for each byte whose word is not all zeros
};

SplitWords split_words(const uint64_t word[256]) {
  SplitWords split{};
  for (size_t i = 0; i < 256; i += 8) {
    const __m512i entry = load512(word + i);
    const __m512i length = _mm512_and_si512(entry, _mm512_set1_epi64(63));
    const __m512i bits = _mm512_srlv_epi64(entry, _mm512_sub_epi64(_mm512_set1_epi64(64), length));
    const auto put = [&](uint8_t* to, __m512i v) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(to + i), _mm512_cvtepi64_epi8(v));
    };
    put(split.low, bits);
    put(split.high, _mm512_srli_epi64(bits, 8));
    put(split.spare, _mm512_sub_epi64(_mm512_set1_epi64(16), length));
    split.used[i / 64] |= uint64_t{_mm512_test_epi64_mask(bits, bits)} << (i % 64);
  }
  return split;
}

// 64 * Registers entries of a table of 256, from entry `first` on, past the end from the beginning.
template <unsigned Registers>
struct Lookup {
  __m512i part[Registers];

  Lookup(const uint8_t bytes[256], unsigned first) {
    uint8_t turned[256];
    memcpy(turned, bytes + first, 256 - first);
    memcpy(turned + 256 - first, bytes, first);
    for (unsigned k = 0; k < Registers; ++k) part[k] = load512(turned + 64 * k);
  }
  [[gnu::always_inline]] __m512i operator()(__m512i v) const {
    if constexpr (Registers == 1) return _mm512_permutexvar_epi8(v, part[0]);
    if constexpr (Registers == 2) return _mm512_permutex2var_epi8(part[0], v, part[1]);
    if constexpr (Registers == 4) return looked_up_in(part, v);
  }
};

// Words of 16 bits of 32 bytes, joined to eight words of up to 64 bits. Before two are joined, the
// lower one is moved to the top of its half, so that shifting both down leaves no gap. The shifts
// are the spare bits of one word and of two.
[[gnu::always_inline]] inline __m512i join_fours(__m512i words, __m512i of_one, __m512i of_two) {
  const __m512i pair = _mm512_srlv_epi32(_mm512_sllv_epi16(words, of_one), of_one);
  return _mm512_srlv_epi64(_mm512_sllv_epi32(pair, of_two), of_two);
}

// Encodes 64 bytes at a time, while all words fit into `out_end`, and returns where it has stopped.
// `First` byte of the lookup; Sixteens: whether 16 words often fit into one put().
template <unsigned Registers, bool Sixteens>
const uint8_t* encode_64(const SplitWords& split, unsigned first, const uint64_t* word,
                         const uint8_t* data, const uint8_t* end, Pending* shared,
                         const uint8_t* out_end) {
  constexpr ptrdiff_t kMostBytesOut = 64 * kMaxCodeLength / 8 + 8;
  constexpr uint64_t kFirstOfFour = 0x1111111111111111;
  const Lookup<Registers> low_of(split.low, first);
  const Lookup<Registers> high_of(split.high, first);
  const Lookup<Registers> spare_of(split.spare, first);
  const __m512i zero = _mm512_setzero_si512();
  const __m512i ones = _mm512_set1_epi8(1);
  const __m512i most = _mm512_set1_epi64(kMostPut);
  Pending pending = *shared;
  for (; end - data >= 64 && out_end - pending.out >= kMostBytesOut; data += 64) {
    const __m512i v = _mm512_sub_epi8(load512(data), _mm512_set1_epi8(static_cast<char>(first)));
    const __m512i spare = spare_of(v);
    uint64_t others = _mm512_movepi8_mask(spare);  // longer words, or bytes past the table
    if constexpr (Registers < 4) {
      others |= _mm512_cmpge_epu8_mask(v, _mm512_set1_epi8(static_cast<char>(64 * Registers)));
    }
    if (others != 0) {
      pending = put_each(word, data, 64, pending);
      continue;
    }
    const __m512i low = low_of(v);
    const __m512i high = high_of(v);
    const __m512i of_two = _mm512_maddubs_epi16(spare, ones);
    const __m512i a = join_fours(_mm512_unpacklo_epi8(low, high),
                                 _mm512_maskz_unpacklo_epi8(kFirstOfFour, spare, zero),
                                 _mm512_maskz_unpacklo_epi16(0x11111111, of_two, zero));
    const __m512i b = join_fours(_mm512_unpackhi_epi8(low, high),
                                 _mm512_maskz_unpackhi_epi8(kFirstOfFour, spare, zero),
                                 _mm512_maskz_unpackhi_epi16(0x11111111, of_two, zero));
    // Words of four bytes: first those of each eight bytes, and the bits in them; then the others.
    const __m512i lower = _mm512_unpacklo_epi64(a, b);
    const __m512i upper = _mm512_unpackhi_epi64(a, b);
    const __m512i of_four = _mm512_maskz_dpbusd_epi32(0x5555, zero, spare, ones);
    const __m512i lower_bits = _mm512_sub_epi64(_mm512_set1_epi64(64), of_four);
    const __m512i bits = _mm512_sub_epi64(_mm512_set1_epi64(128), _mm512_sad_epu8(spare, zero));
    alignas(64) uint64_t words[16];
    alignas(64) uint64_t lengths[16];
    if (_mm512_cmpgt_epu64_mask(bits, most) != 0) {
      store512(words, lower);
      store512(words + 8, upper);
      store512(lengths, lower_bits);
      store512(lengths + 8, _mm512_sub_epi64(bits, lower_bits));
      for (size_t k = 0; k < 16; ++k) {
        const size_t four = k / 2 + k % 2 * 8;
        if (lengths[four] <= kMostPut) {
          pending.put(words[four], static_cast<unsigned>(lengths[four]));
        } else {
          pending = put_each(word, data + 4 * k, 4, pending);
        }
      }
      continue;
    }
    const __m512i eight = _mm512_or_si512(lower, _mm512_sllv_epi64(upper, lower_bits));
    if constexpr (Sixteens) {
      const __m512i sum = _mm512_add_epi64(bits, _mm512_unpackhi_epi64(bits, bits));
      if (_mm512_mask_cmpgt_epu64_mask(0x55, sum, most) == 0) {
        const __m512i next = _mm512_sllv_epi64(_mm512_unpackhi_epi64(eight, eight), bits);
        store512(words, _mm512_or_si512(eight, next));
        store512(lengths, sum);
#pragma GCC unroll 4
        for (size_t k = 0; k < 8; k += 2) {
          pending.put(words[k], static_cast<unsigned>(lengths[k]));
        }
        continue;
      }
    }
    store512(words, eight);
    store512(lengths, bits);
#pragma GCC unroll 8
    for (size_t k = 0; k < 8; ++k) pending.put(words[k], static_cast<unsigned>(lengths[k]));
  }
  *shared = pending;
  return data;
}

// Longer words are faster in pairs.
size_t avx512_encode_bytes(const ByteEncodeTable* table, const uint8_t* data, size_t size,
                           uint8_t* out, uint8_t* out_end) {
  constexpr size_t kWorthIt = 512;
  constexpr double kLong = 5.3;  // bits of a word
  constexpr double kShort = 3;
  if (size < kWorthIt || table->mean_length > kLong) {
    return kAvx2Kernels.codes.encode_bytes(table, data, size, out, out_end);
  }
  const SplitWords split = split_words(table->word);
  const bool is_short = table->mean_length <= kShort;
  const auto one = is_short ? encode_64<1, true> : encode_64<1, false>;
  const auto two = is_short ? encode_64<2, true> : encode_64<2, false>;
  const auto four = is_short ? encode_64<4, true> : encode_64<4, false>;
  // A byte without a word has the entry of another one, so it does not hinder.
  const uint64_t* const used = split.used;
  const bool around_zero = (used[1] | used[2]) == 0 && used[3] != 0;  // -64 to 63
  const bool few =
      around_zero ? (used[0] >> 32 | used[3] << 32) == 0 : (used[1] | used[2] | used[3]) == 0;
  const bool some = around_zero || (used[2] | used[3]) == 0;
  const unsigned first = !around_zero ? 0 : few ? 256 - 32 : 256 - 64;
  const auto encode = few ? one : some ? two : four;
  Pending pending{0, 0, out};
  const uint8_t* const rest =
      encode(split, first, table->word, data, data + size, &pending, out_end);
  const size_t left = size - static_cast<size_t>(rest - data);
  return encode_any(*table, rest, left, &pending, out_end) ? finish(pending, out, out_end)
                                                           : SIZE_MAX;
}

}  // namespace
}  // namespace gradwire
