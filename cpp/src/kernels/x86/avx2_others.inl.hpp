#pragma once

// Finds the elements that differ from a value.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "../generic/bins.inl.hpp"
#include "avx2_memory.inl.hpp"
#include "avx2_runs.inl.hpp"

namespace gradwire {
namespace {

// One bit for each of 64 elements: whether it differs from the value in all lanes of `value`.
template <size_t Width>
uint64_t other_than(__m256i value, const uint8_t* data) {
  constexpr unsigned kStep = 32 / Width;
  uint64_t mask = 0;
  for (unsigned k = 0; k < 2 * Width; ++k) {
    const __m256i equal = equal_elements<Width>(load256(data + 32 * k), value);
    const uint32_t bits = ~static_cast<uint32_t>(_mm256_movemask_epi8(equal));
    mask |= uint64_t{_pext_u32(bits, kLowestOfElement<Width>)} << (k * kStep);
  }
  return mask;
}

template <typename T>
size_t find_others_256(const uint8_t* elements, size_t count, uint64_t value, uint32_t* places) {
  constexpr size_t kWidth = sizeof(T);
  const __m256i all = kWidth == 1   ? _mm256_set1_epi8(static_cast<char>(value))
                      : kWidth == 2 ? _mm256_set1_epi16(static_cast<short>(value))
                      : kWidth == 4 ? _mm256_set1_epi32(static_cast<int>(value))
                                    : _mm256_set1_epi64x(static_cast<long long>(value));
  size_t found = 0;
  size_t i = 0;
  for (; i + 64 <= count; i += 64) {
    const uint64_t mask = other_than<kWidth>(all, elements + i * kWidth);
    found += write_places(mask, static_cast<uint32_t>(i), places + found);
  }
  return find_others_from<T>(elements, i, count, value, places, found);
}

size_t avx2_find_others(const uint8_t* elements, size_t count, size_t width, uint64_t value,
                        uint32_t* places) {
  switch (width) {
    case 1: return find_others_256<uint8_t>(elements, count, value, places);
    case 2: return find_others_256<uint16_t>(elements, count, value, places);
    case 4: return find_others_256<uint32_t>(elements, count, value, places);
    default: return find_others_256<uint64_t>(elements, count, value, places);
  }
}

}  // namespace
}  // namespace gradwire
