#pragma once

// Counts the signs and groups of blocks, and finds the class in which each block costs least.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../generic/block_classes.inl.hpp"
#include "../token_kernels.hpp"
#include "avx2_memory.inl.hpp"

namespace gradwire {
namespace {

// A block is too short to overflow counters of one byte. The sums of both signs share an integer.
BlockSigns signs_of_block(const uint8_t* block) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i negative = zero;
  __m256i positive = zero;
  for (size_t k = 0; k < kBlockSize; k += 32) {
    const __m256i v = load256(block + k);
    negative = _mm256_sub_epi8(negative, _mm256_cmpgt_epi8(zero, v));
    positive = _mm256_sub_epi8(positive, _mm256_cmpgt_epi8(v, zero));
  }
  const __m256i sums = _mm256_or_si256(_mm256_sad_epu8(negative, zero),
                                       _mm256_slli_epi64(_mm256_sad_epu8(positive, zero), 16));
  const __m128i half =
      _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  const uint32_t both =
      static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_add_epi32(half, _mm_unpackhi_epi64(half, half))));
  return {static_cast<uint16_t>(both), static_cast<uint16_t>(both >> 16)};
}

// This is often the first pass over the bytes. It reads several places in turn, because memory
// delivers several streams faster than one: entropy encodes tern95 1.05 times as fast.
void avx2_block_signs(const uint8_t* data, size_t size, BlockSigns* signs) {
  constexpr size_t kPlaces = 4;
  const size_t each = size / kBlockSize / kPlaces;
  for (size_t b = 0; b < each; ++b) {
    for (size_t p = b; p < kPlaces * each; p += each) {
      signs[p] = signs_of_block(data + p * kBlockSize);
    }
  }
  size_t b = kPlaces * each;
  for (; (b + 1) * kBlockSize <= size; ++b) signs[b] = signs_of_block(data + b * kBlockSize);
  if (b * kBlockSize < size) {
    signs[b] = {};
    count_signs(data + b * kBlockSize, size - b * kBlockSize, signs[b]);
  }
}

// Takes eight blocks at a time. One multiply-add of pairs gives what the negative and positive
// bytes of a block cost more than zeros would; these differences must fit 16 bits.
static_assert(kMostCost <= INT16_MAX);
void avx2_cheapest_classes(const ClassCosts* costs, const BlockSigns* signs, size_t blocks,
                           uint8_t* classes) {
  __m256i as_zeros[kMaxClasses];
  __m256i more[kMaxClasses];
  const size_t size = costs->size;
  for (size_t k = 0; k < size; ++k) {
    const int32_t zero = costs->zero[k];
    as_zeros[k] = _mm256_set1_epi32(costs->label[k] + static_cast<int32_t>(kBlockSize) * zero);
    more[k] = _mm256_set1_epi32(((costs->positive[k] - zero) << 16) |
                                ((costs->negative[k] - zero) & 0xFFFF));
  }
  size_t b = 0;
  for (; b + 8 <= blocks; b += 8) {
    const __m256i own = load256(reinterpret_cast<const uint8_t*>(signs + b));
    __m256i best = _mm256_set1_epi32(INT32_MAX);
    for (size_t k = 0; k < size; ++k) {
      const __m256i cost = _mm256_add_epi32(as_zeros[k], _mm256_madd_epi16(own, more[k]));
      const __m256i ranked =
          _mm256_or_si256(_mm256_slli_epi32(cost, 4), _mm256_set1_epi32(static_cast<int32_t>(k)));
      best = _mm256_min_epi32(best, ranked);
    }
    const __m256i number = _mm256_and_si256(best, _mm256_set1_epi32(kMaxClasses - 1));
    const __m128i words =
        _mm_packus_epi32(_mm256_castsi256_si128(number), _mm256_extracti128_si256(number, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(classes + b), _mm_packus_epi16(words, words));
  }
  generic_cheapest_classes(costs, signs + b, blocks - b, classes + b);
}

// Counts the bytes below each group in lanes of a byte: a block has 8 bytes for each lane.
void avx2_block_groups(const ByteGroups* groups, const uint8_t* data, size_t size,
                       BlockGroups* counts) {
  const __m256i zero = _mm256_setzero_si256();
  __m256i first[kByteGroups];
  for (size_t g = 0; g < kByteGroups; ++g) first[g] = _mm256_set1_epi8(groups->first[g]);
  for (; size >= kBlockSize; data += kBlockSize, size -= kBlockSize, ++counts) {
    __m256i below[kByteGroups] = {};
    for (size_t i = 0; i < kBlockSize; i += 32) {
      const __m256i v = load256(data + i);
#pragma GCC unroll 8
      for (size_t g = 1; g < kByteGroups; ++g) {
        below[g] = _mm256_sub_epi8(below[g], _mm256_cmpgt_epi8(first[g], v));
      }
    }
    // Four sums share each integer of 64 bits.
    const auto sums = [&](size_t g) {
      __m256i four = zero;
      for (size_t k = 0; k < 4; ++k) {
        const __m256i sum = _mm256_sad_epu8(below[g + k], zero);
        four = _mm256_or_si256(four, _mm256_slli_epi64(sum, static_cast<int>(16 * k)));
      }
      const __m128i half =
          _mm_add_epi16(_mm256_castsi256_si128(four), _mm256_extracti128_si256(four, 1));
      return _mm_add_epi16(half, _mm_unpackhi_epi64(half, half));
    };
    const __m128i all = _mm_unpacklo_epi64(sums(0), sums(4));
    // Group g has the bytes below group g + 1, less those below itself.
    const __m128i next = _mm_insert_epi16(_mm_srli_si128(all, 2), kBlockSize, kByteGroups - 1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(counts->count), _mm_sub_epi16(next, all));
  }
  generic_block_groups(groups, data, size, counts);
}

// Treats 8 classes at a time: a multiply-add of pairs gives what two groups cost in each of them.
void avx2_cheapest_by_groups(const GroupCosts* costs, const BlockGroups* counts, size_t blocks,
                             uint8_t* classes) {
  constexpr int32_t kNoClass = 1 << 25;  // more than any block costs
  __m256i pair[kByteGroups / 2][2];
  for (size_t g = 0; g < kByteGroups; g += 2) {
    for (size_t half = 0; half < 2; ++half) {
      int32_t both[8];
      for (size_t k = 0; k < 8; ++k) {
        both[k] = costs->part[g][8 * half + k] | costs->part[g + 1][8 * half + k] << 16;
      }
      pair[g / 2][half] = load256(reinterpret_cast<const uint8_t*>(both));
    }
  }
  int32_t label[kMaxClasses];
  for (size_t k = 0; k < kMaxClasses; ++k) label[k] = k < costs->size ? costs->label[k] : kNoClass;
  const auto labels = [&](size_t k) {
    return load256(reinterpret_cast<const uint8_t*>(label + k));
  };
  const __m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  for (size_t b = 0; b < blocks; ++b) {
    __m256i low = labels(0);
    __m256i high = labels(8);
#pragma GCC unroll 4
    for (size_t k = 0; k < kByteGroups / 2; ++k) {
      int32_t two;
      memcpy(&two, counts[b].count + 2 * k, 4);
      low = _mm256_add_epi32(low, _mm256_madd_epi16(_mm256_set1_epi32(two), pair[k][0]));
      high = _mm256_add_epi32(high, _mm256_madd_epi16(_mm256_set1_epi32(two), pair[k][1]));
    }
    low = _mm256_or_si256(_mm256_slli_epi32(low, 4), numbers);
    high = _mm256_or_si256(_mm256_slli_epi32(high, 4),
                           _mm256_add_epi32(numbers, _mm256_set1_epi32(8)));
    const __m256i eight = _mm256_min_epi32(low, high);
    __m128i best = _mm_min_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    best = _mm_min_epi32(best, _mm_shuffle_epi32(best, 0x4E));
    best = _mm_min_epi32(best, _mm_shuffle_epi32(best, 0xB1));
    classes[b] =
        static_cast<uint8_t>(static_cast<size_t>(_mm_cvtsi128_si32(best)) & (kMaxClasses - 1));
  }
}

}  // namespace
}  // namespace gradwire
