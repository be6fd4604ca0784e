#pragma once

// Converts floats to levels, 64 bytes of levels at a time.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../float_kernels.hpp"
#include "../generic/float_levels.inl.hpp"
#include "../generic/load_ahead.inl.hpp"
#include "avx512_draws.inl.hpp"

namespace gradwire {
namespace {

// Where the level of each element lies after two or four registers, each with 16 levels, have been
// collected so that lane i of the result holds those of all lanes i.
template <typename Level>
struct LevelOrder {
  Level from[64 / sizeof(Level)];
};

template <typename Level>
constexpr LevelOrder<Level> make_level_order() {
  constexpr size_t kEach = 4 / sizeof(Level);  // levels of a lane
  LevelOrder<Level> order{};
  for (size_t i = 0; i < 16 * kEach; ++i) {
    const size_t lane = i % 8 + i % 32 / 16 * 8;
    order.from[i] = static_cast<Level>(kEach * lane + i / 32 * 2 + i / 8 % 2);
  }
  return order;
}

template <typename Level>
alignas(64) constexpr LevelOrder<Level> kLevelOrder = make_level_order<Level>();

// A level is the top byte or the upper half of its lane, in fixed point. Levels are not shifted
// down and packed one register after the other: a funnel shift moves the top of a register below
// what was collected before, and one permutation orders all of them.
template <typename Level>
struct Avx512Levels;

template <>
struct Avx512Levels<int8_t> {
  static constexpr size_t kStep = 64;  // elements
  static __m512i first(__m512i hash) { return _mm512_srli_epi32(hash, 32 - kLevelBits); }
  // The hash with its halves swapped, shifted right by 8.
  static __m512i second(__m512i hash) {
    const __m128i places = _mm_setr_epi8(3, 0, 1, -1, 7, 4, 5, -1, 11, 8, 9, -1, 15, 12, 13, -1);
    return _mm512_shuffle_epi8(hash, _mm512_broadcast_i32x4(places));
  }
  static void store(const __m512i (&v)[4], int8_t* out) {
    __m512i bytes = _mm512_srli_epi32(v[3], kLevelBits);
    for (size_t k = 3; k-- > 0;) bytes = _mm512_shldi_epi32(bytes, v[k], 32 - kLevelBits);
    bytes = _mm512_permutexvar_epi8(_mm512_load_si512(kLevelOrder<int8_t>.from), bytes);
    _mm512_storeu_si512(out, _mm512_max_epi8(bytes, _mm512_set1_epi8(-127)));
  }
};

template <>
struct Avx512Levels<int16_t> {
  static constexpr size_t kStep = 32;
  static __m512i first(__m512i hash) { return _mm512_srli_epi32(hash, 32 - kWideLevelBits); }
  static __m512i second(__m512i hash) {
    return _mm512_and_si512(hash, _mm512_set1_epi32((1 << kWideLevelBits) - 1));
  }
  static void store(const __m512i (&v)[2], int16_t* out) {
    const __m512i high = _mm512_srli_epi32(v[1], kWideLevelBits);
    __m512i words = _mm512_shldi_epi32(high, v[0], 32 - kWideLevelBits);
    words = _mm512_permutexvar_epi16(_mm512_load_si512(kLevelOrder<int16_t>.from), words);
    _mm512_storeu_si512(out, _mm512_max_epi16(words, _mm512_set1_epi16(-32767)));
  }
};

template <bool Clips, typename Draws, typename Level>
void avx512_quantize_with(const float* x, size_t count, const LevelGrid& grid, const Draws& first,
                          Level* levels) {
  using Levels = Avx512Levels<Level>;
  constexpr size_t kStep = Levels::kStep;
  const __m512 factor = _mm512_set1_ps(grid.factor);
  const __m512 cap = _mm512_set1_ps(grid.cap);
  const __m512 minus_cap = _mm512_set1_ps(-grid.cap);
  const auto fixed_point = [&](const float* p) __attribute__((always_inline)) {
    __m512 scaled = _mm512_mul_ps(two_groups(p), factor);
    if constexpr (Clips) scaled = _mm512_max_ps(_mm512_min_ps(scaled, cap), minus_cap);
    __m512i fixed = _mm512_cvttps_epi32(scaled);
    if constexpr (Draws::kHalves) fixed = _mm512_add_epi32(fixed, _mm512_srai_epi32(fixed, 31));
    return fixed;
  };
  const auto quantize_part = [&](size_t begin, size_t size,
                                 Draws& draws) __attribute__((always_inline)) {
    const auto step = [&](const float* in, Level* out) __attribute__((always_inline)) {
      __m512i v[kStep / 16];
#pragma GCC unroll 2
      for (size_t k = 0; k < kStep / 16; k += 2) {
        __m512i draw[2];
        if constexpr (Draws::kHalves) {
          draw[0] = draw[1] = _mm512_set1_epi32(1 << (kFractionBits<Level> - 1));
        } else {
          const __m512i hash = draws.next();
          draw[0] = Levels::first(hash);
          draw[1] = Levels::second(hash);
        }
        v[k] = _mm512_add_epi32(fixed_point(in + 16 * k), draw[0]);
        v[k + 1] = _mm512_add_epi32(fixed_point(in + 16 * k + 8), draw[1]);
      }
      Levels::store(v, out);
    };
    for_each_step<kStep>(x + begin, size, levels + begin, step);
  };
  at_places(count, first, quantize_part);
}

template <typename Level>
void avx512_quantize(const float* x, size_t count, const LevelGrid* grid,
                     const RandomStream* random, Level* levels) {
  if (random == nullptr) {
    avx512_quantize_with<true>(x, count, *grid, Avx512HalfDraws{}, levels);
  } else if (grid->clips) {
    avx512_quantize_with<true>(x, count, *grid, Avx512Draws(*random), levels);
  } else {
    avx512_quantize_with<false>(x, count, *grid, Avx512Draws(*random), levels);
  }
}

// Like round_to_powers(): the exponent of a float is the top byte, once the sign is shifted out. So
// exponents are collected as levels are, and limited and given their signs as bytes.
void avx512_to_powers(const float* x, size_t count, int32_t base, const RandomStream* random,
                      int8_t* levels) {
  Avx512Draws draws(*random);
  const __m512i magnitude = _mm512_set1_epi32(kMagnitude);
  const __m512i least = _mm512_set1_epi8(static_cast<char>(base));
  const __m512i largest = _mm512_set1_epi8(static_cast<char>(largest_exponent(base)));
  for_each_step<64>(x, count, levels, [&](const float* in, int8_t* out) {
    __m512i exponents = _mm512_setzero_si512();
    __m512i signs = _mm512_setzero_si512();
    const auto collect = [&](const float* p, __m512i draw) __attribute__((always_inline)) {
      const __m512i v = _mm512_castps_si512(two_groups(p));
      __m512i sum = _mm512_and_si512(v, magnitude);
      sum = _mm512_add_epi32(sum, _mm512_srli_epi32(draw, 32 - kMantissaBits));
      sum = _mm512_min_epu32(sum, magnitude);  // NaN may have become more than 31 bits
      exponents = _mm512_shldi_epi32(exponents, _mm512_slli_epi32(sum, 1), 8);
      signs = _mm512_shldi_epi32(signs, v, 8);
    };
    const __m512i first = draws.next();
    const __m512i second = draws.next();
    collect(in + 40, _mm512_rol_epi32(second, 16));
    collect(in + 32, second);
    collect(in + 8, _mm512_rol_epi32(first, 16));
    collect(in, first);
    const __m512i level = _mm512_subs_epu8(_mm512_min_epu8(exponents, largest), least);
    const __m512i with_signs =
        _mm512_mask_sub_epi8(level, _mm512_movepi8_mask(signs), _mm512_setzero_si512(), level);
    const __m512i order = _mm512_load_si512(kLevelOrder<int8_t>.from);
    _mm512_storeu_si512(out, _mm512_permutexvar_epi8(order, with_signs));
  });
}

}  // namespace
}  // namespace gradwire
