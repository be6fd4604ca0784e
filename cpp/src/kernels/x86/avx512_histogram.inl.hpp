#pragma once

// Counts how often each byte occurs.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "../generic/histogram.inl.hpp"
#include "../generic/load_ahead.inl.hpp"
#include "../kernels.hpp"
#include "avx2_histogram.inl.hpp"
#include "avx512_memory.inl.hpp"

namespace gradwire {
namespace {

constexpr unsigned kMostHotBytes = 16;
constexpr unsigned kHotSample = 1024;  // bytes

// The most frequent bytes of a sample.
struct HotBytes {
  uint8_t byte[kMostHotBytes];
  unsigned covered[kMostHotBytes + 1];  // how many bytes of the sample the first k are
};

HotBytes find_hot_bytes(const uint8_t* data, size_t size) {
  uint32_t counts[256] = {};
  const size_t step = size / kHotSample;
  for (size_t i = 0; i < kHotSample; ++i) counts[data[i * step]] += 256;
  for (uint32_t s = 0; s < 256; ++s) counts[s] += 255 - s;  // all are different
  HotBytes hot{};
  for (unsigned k = 0; k < kMostHotBytes; ++k) {
    __m512i best = _mm512_setzero_si512();
    for (size_t s = 0; s < 256; s += 16) best = _mm512_max_epu32(best, load512(counts + s));
    const uint32_t most = _mm512_reduce_max_epu32(best);
    hot.byte[k] = static_cast<uint8_t>(255 - most % 256);
    hot.covered[k + 1] = hot.covered[k] + most / 256;
    counts[hot.byte[k]] = 0;
  }
  return hot;
}

// As count_hot() of AVX2, with 64 bytes at a time, and masks that say which counters count.
template <unsigned Compared>
void count_hot_bytes(const uint8_t* data, size_t size, const HotBytes& hot, uint64_t counts[256]) {
  constexpr size_t kOthers = 16384;
  constexpr size_t kMostSteps = 255;  // more could overflow counters of one byte
  uint8_t others[kOthers + 64 * kMostSteps + 64];
  const bool fetches = is_intel();
  size_t kept = 0;
  size_t i = 0;
  while (i + 64 <= size) {
    __m512i seen[Compared] = {};
    const size_t steps = (size - i) / 64 < kMostSteps ? (size - i) / 64 : kMostSteps;
    for (size_t step = 0; step < steps; ++step, i += 64) {
      const __m512i v = load512(data + i);
      if (fetches) load_ahead<64>(data + i);
      uint64_t any = 0;
#pragma GCC unroll 16
      for (unsigned k = 0; k < Compared; ++k) {
        const __m512i byte = _mm512_set1_epi8(static_cast<char>(hot.byte[k]));
        const uint64_t equal = _mm512_cmpeq_epi8_mask(v, byte);
        seen[k] = _mm512_mask_sub_epi8(seen[k], equal, seen[k], _mm512_set1_epi8(-1));
        any |= equal;
      }
      store512(others + kept, _mm512_maskz_compress_epi8(~any, v));
      kept += static_cast<size_t>(__builtin_popcountll(~any));
    }
    for (unsigned k = 0; k < Compared; ++k) {
      const __m512i sums = _mm512_sad_epu8(seen[k], _mm512_setzero_si512());
      counts[hot.byte[k]] += static_cast<uint64_t>(_mm512_reduce_add_epi64(sums));
    }
    if (kept >= kOthers) {
      count_bytes(others, kept, counts);
      kept = 0;
    }
  }
  count_bytes(others, kept, counts);
  for (; i < size; ++i) ++counts[data[i]];
}

// Three values that make up nearly all bytes are counted faster by AVX2's loop.
void avx512_histogram(const uint8_t* data, size_t size, uint64_t counts[256]) {
  constexpr size_t kWorthASample = 16384;
  if (size < kWorthASample) return kAvx2Kernels.bytes.histogram(data, size, counts);
  const HotBytes hot = find_hot_bytes(data, size);
  if (hot.covered[kFewHot] >= kHotSample - kHotSample / 64) {
    return count_hot<kFewHot>(data, size, hot.byte, counts);
  }
  if (hot.covered[8] >= kHotSample - kHotSample / 8) {
    return count_hot_bytes<8>(data, size, hot, counts);
  }
  if (hot.covered[16] >= kHotSample / 2) return count_hot_bytes<16>(data, size, hot, counts);
  count_bytes(data, size, counts);
}

}  // namespace
}  // namespace gradwire
