#pragma once

// Converts floats to levels or to powers of two, and back.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../float_kernels.hpp"
#include "float_lanes.inl.hpp"

namespace gradwire {
namespace {

// Calls step(from, to) for every `Size` elements; the rest goes through padded copies. Of floats
// and levels, the floats are fetched ahead: levels are fewer bytes, and mostly in the cache.
template <size_t Size, typename From, typename To, typename Step>
[[gnu::always_inline, gnu::nothrow]] inline void for_each_step(const From* from, size_t count,
                                                               To* to, Step&& step) {
  size_t i = 0;
  for (; i + Size <= count; i += Size) {
    if constexpr (sizeof(From) > sizeof(To)) load_ahead_on_intel<Size * sizeof(From)>(from + i);
    if constexpr (sizeof(From) < sizeof(To)) load_ahead_on_intel<Size * sizeof(To)>(to + i);
    step(from + i, to + i);
  }
  if (i == count) return;
  const Padded<Size, From> in(from + i, count - i);
  Padded<Size, To> out(to + i, count - i);
  step(in.lanes, out.lanes);
  memcpy(to + i, out.lanes, (count - i) * sizeof(To));
}

template <typename Level>
constexpr unsigned kFractionBits = sizeof(Level) == 1 ? kLevelBits : kWideLevelBits;

// Calls quantize(begin, size, draws) for all parts of an array; `draws` are those for the element
// `begin` on. Large arrays are read at kPlaces places in turn, because memory delivers several
// streams faster than one: 1.25 times as fast as in one stream (Zen 4, 25 million floats).
template <typename Draws, typename Quantize>
[[gnu::always_inline, gnu::nothrow]] inline void at_places(size_t count, const Draws& first_draws,
                                                           Quantize&& quantize) {
  constexpr size_t kPlaces = 4;
  constexpr size_t kVisit = 128;
  const auto quantize_at = [&](size_t begin, size_t size) __attribute__((always_inline)) {
    Draws draws = first_draws;
    draws.skip(begin);
    quantize(begin, size, draws);
  };
  const size_t distance = count < kPlaces * kFarApart ? 0 : count / (kPlaces * kVisit) * kVisit;
  for (size_t i = 0; i < distance; i += kVisit) {
    for (size_t place = i; place < kPlaces * distance; place += distance) {
      quantize_at(place, kVisit);
    }
  }
  quantize_at(kPlaces * distance, count - kPlaces * distance);
}

// Adding a random fraction to a level in fixed point, and dropping the fraction bits, rounds up
// with the right probability, for negative levels too.
template <typename Steps, bool Clips, typename Draws, typename Level>
void quantize_with(const float* x, size_t count, const LevelGrid& grid, const Draws& first_draws,
                   Level* levels) {
  constexpr unsigned kBits = kFractionBits<Level>;
  const FloatLanes factor = FloatLanes{} + grid.factor;
  const FloatLanes cap = FloatLanes{} + grid.cap;
  const auto quantize_part = [&](size_t begin, size_t size,
                                 Draws& draws) __attribute__((always_inline)) {
    const auto step = [&](const float* in, Level* out) __attribute__((always_inline)) {
      IntLanes level[4];
      for (size_t k = 0; k < 4; ++k) {
        FloatLanes scaled = load_lanes<FloatLanes>(in + k * kLanes) * factor;
        if constexpr (Clips) scaled = Steps::larger(Steps::smaller(scaled, cap), -cap);
        IntLanes fixed = __builtin_convertvector(scaled, IntLanes);
        if constexpr (Draws::kHalves) fixed += fixed >> 31;
        const UintLanes draw = k % 2 == 0 ? draws.first() : draws.second();
        const UintLanes sum = reinterpret_cast<UintLanes>(fixed) + (draw >> (32 - kBits));
        level[k] = reinterpret_cast<IntLanes>(sum) >> kBits;
      }
      Steps::store_levels(level, out);
    };
    for_each_step<4 * kLanes>(x + begin, size, levels + begin, step);
  };
  at_places(count, first_draws, quantize_part);
}

template <typename Steps, typename Level>
void quantize_levels(const float* x, size_t count, const LevelGrid* grid,
                     const RandomStream* random, Level* levels) {
  if (random == nullptr) {
    quantize_with<Steps, true>(x, count, *grid, HalfDraws{}, levels);
  } else if (grid->clips) {
    quantize_with<Steps, true>(x, count, *grid, LaneDraws<Steps>(*random), levels);
  } else {
    quantize_with<Steps, false>(x, count, *grid, LaneDraws<Steps>(*random), levels);
  }
}

template <typename Steps, bool Add, typename Level>
void dequantize_to(const Level* levels, size_t count, float factor, float* out) {
  for_each_step<4 * kLanes>(levels, count, out, [&](const Level* in, float* sums) {
    for (size_t k = 0; k < 4; ++k) {
      const IntLanes level = Steps::load_levels(in + k * kLanes);
      FloatLanes value = factor * __builtin_convertvector(level, FloatLanes);
      if constexpr (Add) value = load_lanes<FloatLanes>(sums + k * kLanes) + value;
      store_lanes(sums + k * kLanes, value);
    }
  });
}

template <typename Steps, typename Level>
void dequantize_levels(const Level* levels, size_t count, float factor, bool add, float* out) {
  return add ? dequantize_to<Steps, true>(levels, count, factor, out)
             : dequantize_to<Steps, false>(levels, count, factor, out);
}

constexpr unsigned kMantissaBits = 23;
constexpr int32_t kLargestExponent = 254;

// Of powers whose levels do not exceed 127.
int32_t largest_exponent(int32_t base) {
  constexpr int32_t kLargestLevel = 127;
  return base + kLargestLevel < kLargestExponent ? base + kLargestLevel : kLargestExponent;
}

// Adding a random number to the mantissa carries into the exponent with the right probability.
template <typename Steps>
void round_to_powers(const float* x, size_t count, int32_t base, const RandomStream* random,
                     int8_t* levels) {
  LaneDraws<Steps> draws(*random);
  const int32_t largest = largest_exponent(base);
  for_each_step<4 * kLanes>(x, count, levels, [&](const float* in, int8_t* out) {
    IntLanes level[4];
    for (size_t k = 0; k < 4; ++k) {
      const FloatLanes v = load_lanes<FloatLanes>(in + k * kLanes);
      const UintLanes bits = reinterpret_cast<UintLanes>(v) & kMagnitude;
      const UintLanes draw = k % 2 == 0 ? draws.first() : draws.second();
      const UintLanes sum = bits + (draw >> (32 - kMantissaBits));
      IntLanes exponent = __builtin_convertvector(sum >> kMantissaBits, IntLanes);
      exponent = exponent < largest ? exponent : IntLanes{} + largest;
      exponent -= base;
      exponent = exponent > 0 ? exponent : IntLanes{};
      level[k] = Steps::with_sign(exponent, v);
    }
    Steps::store_levels(level, out);
  });
}

template <typename Steps, bool Add>
void write_powers(const int8_t* levels, size_t count, int32_t base, float factor, float* out) {
  for_each_step<4 * kLanes>(levels, count, out, [&](const int8_t* in, float* sums) {
    for (size_t k = 0; k < 4; ++k) {
      const IntLanes level = Steps::load_levels(in + k * kLanes);
      const IntLanes size = level < 0 ? -level : level;
      const IntLanes exponent = size + base;
      IntLanes bits = (exponent < kLargestExponent ? exponent : IntLanes{} + kLargestExponent)
                      << kMantissaBits;
      bits = size != 0 ? bits | (level & static_cast<int32_t>(0x80000000)) : IntLanes{};
      FloatLanes value = factor * reinterpret_cast<FloatLanes>(bits);
      if constexpr (Add) value = load_lanes<FloatLanes>(sums + k * kLanes) + value;
      store_lanes(sums + k * kLanes, value);
    }
  });
}

template <typename Steps>
void from_powers(const int8_t* levels, size_t count, int32_t base, float factor, bool add,
                 float* out) {
  return add ? write_powers<Steps, true>(levels, count, base, factor, out)
             : write_powers<Steps, false>(levels, count, base, factor, out);
}

}  // namespace
}  // namespace gradwire
