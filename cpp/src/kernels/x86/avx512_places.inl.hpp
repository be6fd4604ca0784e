#pragma once

// Finds the elements that differ from a value or from the element before them, 64 at a time: their
// places are compressed as bytes, and then grow.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "../generic/bins.inl.hpp"
#include "../generic/load_ahead.inl.hpp"
#include "../generic/runs.inl.hpp"
#include "avx512_memory.inl.hpp"

namespace gradwire {
namespace {

template <size_t Width>
uint64_t differing_lanes(__m512i a, __m512i b) {
  if constexpr (Width == 1) return _mm512_cmpneq_epi8_mask(a, b);
  if constexpr (Width == 2) return _mm512_cmpneq_epi16_mask(a, b);
  if constexpr (Width == 4) return _mm512_cmpneq_epi32_mask(a, b);
  if constexpr (Width == 8) return _mm512_cmpneq_epi64_mask(a, b);
}

// A bit for each of 64 elements: whether it differs from the lane of other(k), where k is the
// number of its vector.
template <size_t Width, typename F>
[[gnu::always_inline]] inline uint64_t differing_64(const uint8_t* data, const F& other) {
  uint64_t mask = 0;
  for (size_t k = 0; k < Width; ++k) {
    mask |= differing_lanes<Width>(load512(data + 64 * k), other(k)) << (64 / Width * k);
  }
  return mask;
}

__m512i places_in_64(uint64_t mask) {
  static constexpr auto kPlaces = [] {
    struct {
      uint8_t of[64];
    } places{};
    for (uint8_t k = 0; k < 64; ++k) places.of[k] = k;
    return places;
  }();
  return _mm512_maskz_compress_epi8(mask, load512(kPlaces.of));
}

template <typename T>
size_t find_others_512(const uint8_t* elements, size_t count, uint64_t value, uint32_t* places) {
  constexpr size_t kWidth = sizeof(T);
  constexpr uint64_t kRepeated =
      kWidth == 8 ? 1 : ~uint64_t{0} / ((uint64_t{1} << (8 * kWidth % 64)) - 1);
  const uint64_t lanes = static_cast<T>(value) * kRepeated;
  const __m512i all = _mm512_set1_epi64(static_cast<long long>(lanes));
  const bool fetches = is_intel();
  size_t found = 0;
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const uint8_t* const data = elements + i * kWidth;
    if (fetches) load_ahead<64 * kWidth>(data);
    const uint64_t mask = differing_64<kWidth>(data, [&](size_t) { return all; });
    const __m512i own = places_in_64(mask);
    const size_t more = static_cast<size_t>(__builtin_popcountll(mask));
    const __m512i base = _mm512_set1_epi32(static_cast<int>(i));
    const auto put = [&](size_t k, __m128i bytes) {
      store512(places + found + k, _mm512_add_epi32(_mm512_cvtepu8_epi32(bytes), base));
    };
    put(0, _mm512_castsi512_si128(own));
    if (more > 16) {
      uint8_t bytes[64];
      store512(bytes, own);
      for (size_t k = 16; k < more; k += 16) {
        put(k, _mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + k)));
      }
    }
    found += more;
  }
  return find_others_from<T>(elements, i, count, value, places, found);
}

size_t avx512_find_others(const uint8_t* elements, size_t count, size_t width, uint64_t value,
                          uint32_t* places) {
  switch (width) {
    case 1: return find_others_512<uint8_t>(elements, count, value, places);
    case 2: return find_others_512<uint16_t>(elements, count, value, places);
    case 4: return find_others_512<uint32_t>(elements, count, value, places);
    default: return find_others_512<uint64_t>(elements, count, value, places);
  }
}

template <size_t Width>
size_t run_starts_512(const uint8_t* data, size_t count, uint16_t* starts) {
  if (count == 0) return 0;
  starts[0] = 0;
  size_t found = 1;
  size_t i = 1;
  for (; i + 64 <= count; i += 64) {
    const uint8_t* const here = data + i * Width;
    const uint64_t mask =
        differing_64<Width>(here, [&](size_t k) { return load512(here + 64 * k - Width); });
    if (mask == 0) continue;
    const __m512i places = places_in_64(mask);
    const size_t more = static_cast<size_t>(__builtin_popcountll(mask));
    const __m512i base = _mm512_set1_epi16(static_cast<short>(i));
    store512(starts + found,
             _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(places)), base));
    if (more > 32) {
      store512(starts + found + 32,
               _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(places, 1)), base));
    }
    found += more;
  }
  return run_starts_from(data, i, count, Width, starts, found);
}

size_t avx512_run_starts(const uint8_t* data, size_t count, size_t width, uint16_t* starts) {
  switch (width) {
    case 1: return run_starts_512<1>(data, count, starts);
    case 2: return run_starts_512<2>(data, count, starts);
    case 4: return run_starts_512<4>(data, count, starts);
    default: return run_starts_512<8>(data, count, starts);
  }
}

}  // namespace
}  // namespace gradwire
