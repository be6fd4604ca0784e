#pragma once

// Finds where runs of equal elements begin.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../generic/runs.inl.hpp"
#include "avx2_masks.inl.hpp"
#include "avx2_memory.inl.hpp"

namespace gradwire {
namespace {

template <size_t Width>
__m256i equal_elements(__m256i a, __m256i b) {
  if constexpr (Width == 1) return _mm256_cmpeq_epi8(a, b);
  if constexpr (Width == 2) return _mm256_cmpeq_epi16(a, b);
  if constexpr (Width == 4) return _mm256_cmpeq_epi32(a, b);
  return _mm256_cmpeq_epi64(a, b);
}

// Of the bits for the bytes of 32 / Width elements, the lowest one of each element.
template <size_t Width>
constexpr uint32_t kLowestOfElement = Width == 1   ? 0xFFFFFFFF
                                      : Width == 2 ? 0x55555555
                                      : Width == 4 ? 0x11111111
                                                   : 0x01010101;

// One bit for each of 64 elements: whether it differs from the one before it.
template <size_t Width>
uint64_t differing(const uint8_t* data) {
  constexpr unsigned kStep = 32 / Width;
  uint64_t mask = 0;
  for (unsigned k = 0; k < 2 * Width; ++k) {
    const uint8_t* here = data + 32 * k;
    const __m256i equal = equal_elements<Width>(load256(here), load256(here - Width));
    const uint32_t bits = ~static_cast<uint32_t>(_mm256_movemask_epi8(equal));
    mask |= uint64_t{_pext_u32(bits, kLowestOfElement<Width>)} << (k * kStep);
  }
  return mask;
}

// Where there are many starts, packs their places together, eight elements at a time; what is
// stored past the last start is overwritten later.
template <size_t Width>
size_t run_starts_256(const uint8_t* data, size_t count, uint16_t* starts) {
  constexpr size_t kFew = 8;
  if (count == 0) return 0;
  starts[0] = 0;
  size_t found = 1;
  size_t i = 1;
  for (; i + 64 <= count; i += 64) {
    const uint64_t mask = differing<Width>(data + i * Width);
    if (mask == 0) continue;
    const size_t more = static_cast<size_t>(__builtin_popcountll(mask));
    if (more <= kFew) {
      found += write_places(mask, static_cast<uint16_t>(i), starts + found);
      continue;
    }
    const uint64_t before = ones_before(mask);
    __m128i base = _mm_set1_epi16(static_cast<int16_t>(i));
    for (unsigned k = 0; k < 8; ++k) {
      const __m128i places = load_8(&kCompress.places[mask >> (8 * k) & 255]);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(starts + found + (before >> (8 * k) & 255)),
                       _mm_add_epi16(_mm_cvtepu8_epi16(places), base));
      base = _mm_add_epi16(base, _mm_set1_epi16(8));
    }
    found += more;
  }
  return run_starts_from(data, i, count, Width, starts, found);
}

size_t avx2_run_starts(const uint8_t* data, size_t count, size_t width, uint16_t* starts) {
  switch (width) {
    case 1: return run_starts_256<1>(data, count, starts);
    case 2: return run_starts_256<2>(data, count, starts);
    case 4: return run_starts_256<4>(data, count, starts);
    default: return run_starts_256<8>(data, count, starts);
  }
}

}  // namespace
}  // namespace gradwire
