#pragma once

// Encodes bytes, each as its code word.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../code_kernels.hpp"
#include "../generic/encode_bytes.inl.hpp"
#include "../generic/memory.inl.hpp"
#include "avx2_memory.inl.hpp"

namespace gradwire {
namespace {

// The code words of 32 bytes: those of eight neighbors are joined.
struct JoinedWords {
  uint64_t words[4];
  uint64_t length[4];  // in bits
  bool has_others;     // some bytes have no word in the rows
};

// Code words of 32 bytes: the low and the high byte of each, and its length.
struct SplitWords {
  __m256i low;
  __m256i high;
  __m256i length;
};

template <unsigned Rows>
SplitWords look_up(const WordRows& rows, const __m256i* row, __m256i bytes) {
  const __m256i past_row = _mm256_set1_epi8(0x70);
  SplitWords words{};
  for (unsigned k = 0; k < Rows; ++k) {
    const __m256i place = _mm256_adds_epu8(_mm256_xor_si256(bytes, row[k]), past_row);
    words.low = _mm256_or_si256(words.low, _mm256_shuffle_epi8(twice(rows.low[k]), place));
    words.high = _mm256_or_si256(words.high, _mm256_shuffle_epi8(twice(rows.high[k]), place));
    words.length = _mm256_or_si256(words.length, _mm256_shuffle_epi8(twice(rows.length[k]), place));
  }
  return words;
}

// Two words of up to 16 bits are joined to one of up to 32, two of these to one of up to 64, and
// two of these to one of which only the lowest 64 bits are computed.
[[gnu::always_inline]] inline JoinedWords join_words(const SplitWords& split) {
  const __m256i zero = _mm256_setzero_si256();
  JoinedWords joined;
  joined.has_others = _mm256_movemask_epi8(_mm256_cmpeq_epi8(split.length, zero)) != 0;
  const __m256i first = _mm256_and_si256(split.length, _mm256_set1_epi16(0xFF));
  const __m256i of_pair = _mm256_add_epi16(first, _mm256_srli_epi16(split.length, 8));
  const auto join_half = [&](__m256i words, __m256i first_length, __m256i pair_length,
                             size_t half) {
    const __m256i even = _mm256_and_si256(words, _mm256_set1_epi32(0xFFFF));
    const __m256i odd = _mm256_srli_epi32(words, 16);
    const __m256i pair = _mm256_or_si256(even, _mm256_sllv_epi32(odd, first_length));
    const __m256i lower_half = _mm256_set1_epi64x(0xFFFFFFFF);
    const __m256i shift = _mm256_and_si256(pair_length, lower_half);
    const __m256i upper = _mm256_sllv_epi64(_mm256_srli_epi64(pair, 32), shift);
    const __m256i four = _mm256_or_si256(_mm256_and_si256(pair, lower_half), upper);
    const __m256i bits = _mm256_add_epi64(shift, _mm256_srli_epi64(pair_length, 32));
    const __m256i next = _mm256_sllv_epi64(_mm256_srli_si256(four, 8), bits);
    const __m256i eight = _mm256_or_si256(four, next);
    const __m256i total = _mm256_add_epi64(bits, _mm256_srli_si256(bits, 8));
    // The unpacking below has put bytes 0 to 15 into the lower halves of the registers, and bytes
    // 16 to 31 into the upper ones.
    const auto store = [&](uint64_t* place, __m256i v) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(place + half), _mm256_castsi256_si128(v));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(place + half + 2),
                       _mm256_extracti128_si256(v, 1));
    };
    store(joined.words, eight);
    store(joined.length, total);
  };
  join_half(_mm256_unpacklo_epi8(split.low, split.high), _mm256_unpacklo_epi16(first, zero),
            _mm256_unpacklo_epi16(of_pair, zero), 0);
  join_half(_mm256_unpackhi_epi8(split.low, split.high), _mm256_unpackhi_epi16(first, zero),
            _mm256_unpackhi_epi16(of_pair, zero), 1);
  return joined;
}

template <unsigned Rows>
bool encode_rows(const ByteEncodeTable& table, const uint8_t* data, size_t size, Pending* shared,
                 const uint8_t* out_end) {
  constexpr ptrdiff_t kMostBytesOut = 32 * kMaxCodeLength / 8 + 8;
  __m256i row[Rows];
  for (unsigned k = 0; k < Rows; ++k) {
    row[k] = _mm256_set1_epi8(static_cast<char>(table.rows->row[k] << 4));
  }
  Pending pending = *shared;
  size_t i = 0;
  for (; i + 32 <= size && out_end - pending.out >= kMostBytesOut; i += 32) {
    const JoinedWords joined = join_words(look_up<Rows>(*table.rows, row, load256(data + i)));
    if (joined.has_others) {
      pending = put_each(table.word, data + i, 32, pending);
      continue;
    }
    for (unsigned k = 0; k < 4; ++k) {
      if (joined.length[k] <= kMostPut) {
        pending.put(joined.words[k], static_cast<unsigned>(joined.length[k]));
      } else {
        pending = put_each(table.word, data + i + 8 * k, 8, pending);
      }
    }
  }
  *shared = pending;
  _mm256_zeroupper();  // rule 4 of kernels.hpp
  return encode_any(table, data + i, size - i, shared, out_end);
}

size_t avx2_encode_bytes(const ByteEncodeTable* table, const uint8_t* data, size_t size,
                         uint8_t* out, uint8_t* out_end) {
  if (table->rows == nullptr) return generic_encode_bytes(table, data, size, out, out_end);
  Pending pending{0, 0, out};
  const unsigned rows = table->rows->rows;
  const auto encode = rows == 2 ? encode_rows<2> : rows == 4 ? encode_rows<4> : encode_rows<8>;
  return encode(*table, data, size, &pending, out_end) ? finish(pending, out, out_end) : SIZE_MAX;
}

}  // namespace
}  // namespace gradwire
