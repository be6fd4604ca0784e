#pragma once

// What AVX-512 instructions do, written out lane by lane.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <cstdlib>

#include "lanes.hpp"

namespace emulated {

// Arithmetic. Lanes are unsigned where that makes no difference, because overflow is then defined.

template <typename T>
Vector add(const Vector& a, const Vector& b) {
  return both<T>(a, b, [](T x, T y) { return x + y; });
}
template <typename T>
Vector subtract(const Vector& a, const Vector& b) {
  return both<T>(a, b, [](T x, T y) { return x - y; });
}
/// As far as 0.
template <typename T>
Vector subtract_at_most(const Vector& a, const Vector& b) {
  return both<T>(a, b, [](T x, T y) { return x > y ? x - y : 0; });
}
template <typename T>
Vector multiply(const Vector& a, const Vector& b) {
  return both<T>(a, b, [](T x, T y) { return x * y; });
}
/// As the instruction: the second one if either is NaN.
template <typename T>
Vector smaller(const Vector& a, const Vector& b) {
  return both<T>(a, b, [](T x, T y) { return x < y ? x : y; });
}
template <typename T>
Vector larger(const Vector& a, const Vector& b) {
  return both<T>(a, b, [](T x, T y) { return x > y ? x : y; });
}
inline Vector bits_and(const Vector& a, const Vector& b) {
  return both<uint64_t>(a, b, [](uint64_t x, uint64_t y) { return x & y; });
}
inline Vector bits_or(const Vector& a, const Vector& b) {
  return both<uint64_t>(a, b, [](uint64_t x, uint64_t y) { return x | y; });
}
inline Vector bits_xor(const Vector& a, const Vector& b) {
  return both<uint64_t>(a, b, [](uint64_t x, uint64_t y) { return x ^ y; });
}
inline Vector ternary(const Vector& a, const Vector& b, const Vector& c, int truth) {
  return each<uint8_t>([&](size_t i) {
    unsigned result = 0;
    for (unsigned k = 0; k < 8; ++k) {
      const unsigned row =
          (a.byte[i] >> k & 1) << 2 | (b.byte[i] >> k & 1) << 1 | (c.byte[i] >> k & 1);
      result |= (static_cast<unsigned>(truth) >> row & 1) << k;
    }
    return result;
  });
}
template <typename T>
Vector left(const Vector& a, unsigned count) {
  return each<T>([&](size_t i) { return count < 8 * sizeof(T) ? lanes<T>(a)[i] << count : 0; });
}
template <typename T>
Vector right(const Vector& a, unsigned count) {
  return each<T>([&](size_t i) { return count < 8 * sizeof(T) ? lanes<T>(a)[i] >> count : 0; });
}
inline Vector right_signed(const Vector& a, unsigned count) {
  return each<int32_t>([&](size_t i) { return lanes<int32_t>(a)[i] >> std::min(count, 31u); });
}
template <typename T>
Vector left_by(const Vector& a, const Vector& counts) {
  return both<T>(a, counts, [](T x, T n) { return n < 8 * sizeof(T) ? x << n : 0; });
}
template <typename T>
Vector right_by(const Vector& a, const Vector& counts) {
  return both<T>(a, counts, [](T x, T n) { return n < 8 * sizeof(T) ? x >> n : 0; });
}
inline Vector rotated(const Vector& a, unsigned count) {
  return each<uint32_t>([&](size_t i) {
    const uint32_t x = lanes<uint32_t>(a)[i];
    return x << (count & 31) | x >> (-count & 31);
  });
}
inline Vector funnel_left(const Vector& high, const Vector& low, unsigned count) {
  return both<uint32_t>(high, low,
                        [=](uint32_t h, uint32_t l) { return h << count | l >> (32 - count); });
}
/// Sums of products of neighbors: of unsigned bytes of `a` and signed ones of `b`, saturated.
inline Vector multiply_add_pairs(const Vector& a, const Vector& b) {
  return each<int16_t>([&](size_t i) {
    const auto product = [&](size_t k) { return a.byte[k] * static_cast<int8_t>(b.byte[k]); };
    return std::clamp(product(2 * i) + product(2 * i + 1), -32768, 32767);
  });
}
inline Vector multiply_add_fours(uint64_t some, const Vector& sums, const Vector& a,
                                 const Vector& b) {
  return each<int32_t>([&](size_t i) {
    int32_t sum = is_one(some, i) ? lanes<int32_t>(sums)[i] : 0;
    for (size_t k = 4 * i; is_one(some, i) && k < 4 * i + 4; ++k) {
      sum += a.byte[k] * static_cast<int8_t>(b.byte[k]);
    }
    return sum;
  });
}
inline Vector sum_of_differences(const Vector& a, const Vector& b) {
  return each<uint64_t>([&](size_t i) {
    uint64_t sum = 0;
    for (size_t k = 8 * i; k < 8 * i + 8; ++k) {
      sum += static_cast<uint64_t>(std::abs(a.byte[k] - b.byte[k]));
    }
    return sum;
  });
}
template <typename T>
T sum_of_lanes(const Vector& a) {
  T sum = 0;
  for (const T lane : lanes<T>(a)) sum += lane;
  return sum;
}
template <typename T>
T largest_lane(const Vector& a) {
  const auto x = lanes<T>(a);
  return *std::max_element(x.begin(), x.end());
}
inline Vector carryless(const Vector& a, const Vector& b, int which) {
  const auto x = lanes<uint64_t>(a);
  const auto y = lanes<uint64_t>(b);
  return each<uint64_t>([&](size_t i) {
    const uint64_t factor = x[i / 2 * 2 + (which & 1)];
    const uint64_t other = y[i / 2 * 2 + (which >> 4 & 1)];
    uint64_t low = 0;
    uint64_t high = 0;
    for (unsigned k = 0; k < 64; ++k) {
      if ((factor >> k & 1) == 0) continue;
      low ^= other << k;
      high ^= k == 0 ? 0 : other >> (64 - k);
    }
    return i % 2 == 0 ? low : high;
  });
}

// Comparisons.

template <typename T>
uint64_t equal(const Vector& a, const Vector& b) {
  return compare<T>(a, b, [](T x, T y) { return x == y; });
}
template <typename T>
uint64_t differs(const Vector& a, const Vector& b) {
  return compare<T>(a, b, [](T x, T y) { return x != y; });
}
template <typename T>
uint64_t at_least(const Vector& a, const Vector& b) {
  return compare<T>(a, b, [](T x, T y) { return x >= y; });
}
template <typename T>
uint64_t above(const Vector& a, const Vector& b) {
  return compare<T>(a, b, [](T x, T y) { return x > y; });
}
template <typename T>
uint64_t at_least_of(uint64_t some, const Vector& a, const Vector& b) {
  return some & at_least<T>(a, b);
}
template <typename T>
uint64_t above_of(uint64_t some, const Vector& a, const Vector& b) {
  return some & above<T>(a, b);
}
template <typename T>
uint64_t any_common(const Vector& a, const Vector& b) {
  return compare<T>(a, b, [](T x, T y) { return (x & y) != 0; });
}
template <typename T>
uint64_t none_common(const Vector& a, const Vector& b) {
  return compare<T>(a, b, [](T x, T y) { return (x & y) == 0; });
}
template <typename T>
uint64_t signs(const Vector& a) {
  return mask<T>([&](size_t i) { return lanes<T>(a)[i] < 0; });
}
// Moves between lanes.

template <typename T>
Vector looked_up(const Vector& index, const Vector& table) {
  const auto places = lanes<T>(index);
  return each<T>([&](size_t i) { return lanes<T>(table)[places[i] & (64 / sizeof(T) - 1)]; });
}
inline Vector looked_up_in_two(const Vector& a, const Vector& index, const Vector& b) {
  return each<uint8_t>([&](size_t i) {
    const unsigned place = index.byte[i] & 127;
    return place < 64 ? a.byte[place] : b.byte[place - 64];
  });
}
inline Vector shuffle(const Vector& a, const Vector& places) {
  return each<uint8_t>([&](size_t i) {
    const uint8_t place = places.byte[i];
    return place & 128 ? 0 : a.byte[i / 16 * 16 + (place & 15)];
  });
}
/// Lanes of the lower or higher halves of each 16 bytes, in turn from `a` and `b`.
template <typename T, bool High>
Vector unpack(const Vector& a, const Vector& b) {
  constexpr size_t kPart = 16 / sizeof(T);
  return each<T>([&](size_t i) {
    const size_t from = i / kPart * kPart + i % kPart / 2 + (High ? kPart / 2 : 0);
    return lanes<T>(i % 2 == 0 ? a : b)[from];
  });
}
template <typename T, bool High>
Vector unpack_some(uint64_t some, const Vector& a, const Vector& b) {
  return chosen_or_0<T>(some, unpack<T, High>(a, b));
}
inline Vector align_some(uint64_t some, const Vector& high, const Vector& low, unsigned count) {
  return chosen_or_0<uint64_t>(some, each<uint64_t>([&](size_t i) {
                                 const size_t from = i + count;
                                 return from < 8 ? lanes<uint64_t>(low)[from]
                                                 : lanes<uint64_t>(high)[from - 8];
                               }));
}

// Conversions.

template <typename From, typename To, typename Part>
Vector widen(const Part& part) {
  From given[64 / sizeof(To)];
  memcpy(given, &part, sizeof(given));
  return each<To>([&](size_t i) { return given[i]; });
}
template <typename From, typename To, typename Part>
Part narrow(const Vector& v) {
  Part part{};
  To result[64 / sizeof(From)];
  for (size_t i = 0; i < 64 / sizeof(From); ++i) result[i] = static_cast<To>(lanes<From>(v)[i]);
  memcpy(&part, result, sizeof(result));
  return part;
}
inline Vector truncated(const Vector& v) {
  return each<int32_t>([&](size_t i) {
    const float x = lanes<float>(v)[i];
    return x > -2147483904.0f && x < 2147483648.0f ? static_cast<int32_t>(x) : INT32_MIN;
  });
}
}  // namespace emulated
