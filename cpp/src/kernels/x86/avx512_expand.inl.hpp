#pragma once

// Turns tokens into bytes, 128 tokens at a time: first the places and bytes of all, then a loop of
// two loads and a store for each. A smaller number at a time is slower: a load of a byte soon after
// the store of a vector that holds it has to wait.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../generic/tokens.inl.hpp"
#include "../kernels.hpp"
#include "../token_kernels.hpp"
#include "avx512_memory.inl.hpp"

namespace gradwire {
namespace {

constexpr size_t kExpanded = 128;                           // tokens at a time
constexpr size_t kMostExpanded = kExpanded * kMaxTokenRun;  // bytes that these can stand for

// By token: its byte, and the number of zeros before that.
struct TokenBytes {
  uint8_t byte[256];
  uint8_t zeros[256];
};

TokenBytes token_bytes(const ExpandTable& table) {
  TokenBytes bytes;
  for (size_t i = 0; i < 256; i += 16) {
    const __m512i entry = load512(table.entry + i);
    const auto put = [&](uint8_t* to, __m512i v) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to + i), _mm512_cvtepi32_epi8(v));
    };
    put(bytes.byte, entry);
    put(bytes.zeros, _mm512_srli_epi32(entry, 8));
  }
  return bytes;
}

// The bytes of tokens that are all below 64, or any.
[[gnu::always_inline]] inline __m512i of_tokens(const uint8_t table[256], __m512i token,
                                                bool are_low) {
  if (are_low) return _mm512_permutexvar_epi8(token, load512(table));
  const __m512i parts[4] = {load512(table), load512(table + 64), load512(table + 128),
                            load512(table + 192)};
  return looked_up_in(parts, token);
}

struct TokenPlaces {
  uint16_t last[kExpanded];  // place of the byte of each token, from the first one's zeros on
  uint8_t byte[kExpanded];
};

// Adds up the lengths of 32 tokens, from `before` on, and writes the places of their bytes. Returns
// the last place in all lanes. A product by 1 + 2^16 + 2^32 + 2^48 adds up each four lengths.
[[gnu::always_inline]] inline __m512i add_up(__m256i zeros, __m512i before, uint16_t* last) {
  const __m512i lengths = _mm512_add_epi16(_mm512_cvtepu8_epi16(zeros), _mm512_set1_epi16(1));
  const __m512i fours = _mm512_mullo_epi64(lengths, _mm512_set1_epi64(0x0001000100010001));
  const __m512i whole = _mm512_srli_epi64(fours, 48);
  __m512i sum = whole;
  sum = _mm512_add_epi64(sum, _mm512_maskz_alignr_epi64(0xFE, sum, sum, 7));
  sum = _mm512_add_epi64(sum, _mm512_maskz_alignr_epi64(0xFC, sum, sum, 6));
  sum = _mm512_add_epi64(sum, _mm512_maskz_alignr_epi64(0xF0, sum, sum, 4));
  // The sum of the fours before each one, in all four lanes of it.
  const __m512i lanes =
      _mm512_broadcast_i32x4(_mm_set_epi64x(0x0908090809080908, 0x0100010001000100));
  const __m512i of_earlier = _mm512_shuffle_epi8(_mm512_sub_epi64(sum, whole), lanes);
  store512(last, _mm512_add_epi16(_mm512_add_epi16(fours, of_earlier), before));
  return _mm512_add_epi16(before, _mm512_permutexvar_epi16(_mm512_set1_epi16(28), sum));
}

// Finds the places of kExpanded tokens, and returns the number of bytes that they stand for.
[[gnu::always_inline]] inline size_t find_places(const TokenBytes& table, const uint8_t* tokens,
                                                 TokenPlaces& places) {
  __m512i place = _mm512_set1_epi16(-1);
  for (size_t i = 0; i < kExpanded; i += 64) {
    const __m512i token = load512(tokens + i);
    const bool are_low =
        _mm512_test_epi8_mask(token, _mm512_set1_epi8(static_cast<char>(0xC0))) == 0;
    const __m512i zeros = of_tokens(table.zeros, token, are_low);
    store512(places.byte + i, of_tokens(table.byte, token, are_low));
    place = add_up(_mm512_castsi512_si256(zeros), place, places.last + i);
    place = add_up(_mm512_extracti64x4_epi64(zeros, 1), place, places.last + i + 32);
  }
  return static_cast<uint16_t>(_mm_cvtsi128_si32(_mm512_castsi512_si128(place))) + size_t{1};
}

[[gnu::always_inline]] inline void put_bytes(const TokenPlaces& places, uint8_t* out) {
#pragma GCC unroll 16
  for (size_t k = 0; k < kExpanded; ++k) out[places.last[k]] = places.byte[k];
}

bool expand_one(const ExpandTable& entries, const uint8_t* tokens, size_t count, uint8_t* out,
                size_t size) {
  constexpr size_t kAhead = 4096;  // bytes that are zeroed at once, just before they are needed
  const TokenBytes table = token_bytes(entries);
  TokenPlaces places;
  size_t place = 0;
  size_t zeroed = 0;
  size_t i = 0;
  for (; i + kExpanded <= count; i += kExpanded) {
    const size_t more = find_places(table, tokens + i, places);
    if (more > size - place) break;
    for (; zeroed < place + more; zeroed += kAhead) {
      memset(out + zeroed, 0, size - zeroed < kAhead ? size - zeroed : kAhead);
    }
    put_bytes(places, out + place);
    place += more;
  }
  return expand_to(OneBlock{out + place}, size - place, entries, tokens + i, count - i);
}

// Numbered blocks are made side by side in `room` and moved to their places. All bytes of `room`
// from `place` on are 0.
bool expand_many(const ExpandTable& entries, const uint8_t* tokens, size_t count,
                 const OutBlocks& out) {
  const TokenBytes table = token_bytes(entries);
  TokenPlaces places;
  uint8_t room[kMostExpanded + 2 * kBlockSize];
  size_t clean = 0;  // bytes of `room` that were zeroed
  size_t place = 0;
  size_t moved = 0;  // bytes that are in their places
  const auto block = [&](size_t at) {
    return out.data + size_t{out.numbers[at / kBlockSize]} * kBlockSize;
  };
  const __m512i zeros = _mm512_setzero_si512();
  size_t i = 0;
  for (; i + kExpanded <= count; i += kExpanded) {
    const size_t more = find_places(table, tokens + i, places);
    if (more > out.size - moved - place) break;
    for (; clean < place + more + kBlockSize; clean += 64) store512(room + clean, zeros);
    put_bytes(places, room + place);
    place += more;
    size_t from = 0;
    for (; from + kBlockSize <= place; from += kBlockSize) {
      uint8_t* const to = block(moved + from);
      for (size_t k = 0; k < kBlockSize; k += 64) {
        store512(to + k, load512(room + from + k));
        store512(room + from + k, zeros);
      }
    }
    if (from == 0) continue;
    for (size_t k = 0; k < kBlockSize; k += 64) {  // the block that was begun
      const __m512i v = load512(room + from + k);
      store512(room + from + k, zeros);
      store512(room + k, v);
    }
    moved += from;
    place -= from;
  }
  if (place > 0) memcpy(block(moved), room, place);
  const ManyBlocks blocks{out.data, out.numbers};
  return expand_rest(blocks, moved + place, out.size, entries, tokens + i, count - i);
}

bool avx512_expand(const ExpandTable* table, const uint8_t* tokens, size_t count,
                   const OutBlocks* out) {
  constexpr size_t kWorthIt = 512;
  constexpr size_t kSparse = 32;  // bytes for each token from which moving blocks does not pay
  const bool has_numbers = out->numbers != nullptr;
  if (count < kWorthIt || (has_numbers && out->size / kSparse > count)) {
    return kAvx2Kernels.tokens.expand(table, tokens, count, out);
  }
  return has_numbers ? expand_many(*table, tokens, count, *out)
                     : expand_one(*table, tokens, count, out->data, out->size);
}

}  // namespace
}  // namespace gradwire
