#pragma once

// Vectors of 64 bytes and masks, for intrinsics that are written out lane by lane.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <array>

namespace emulated {

/// Stands for __m512i and __m512.
struct Vector {
  uint8_t byte[64];
};

template <typename T>
using Lanes = std::array<T, 64 / sizeof(T)>;

template <typename T>
Lanes<T> lanes(const Vector& v) {
  Lanes<T> result;
  memcpy(result.data(), v.byte, 64);
  return result;
}

/// The vector whose lane i is f(i).
template <typename T, typename F>
Vector each(const F& f) {
  Lanes<T> result;
  for (size_t i = 0; i < result.size(); ++i) result[i] = static_cast<T>(f(i));
  Vector v;
  memcpy(v.byte, result.data(), 64);
  return v;
}

/// The mask whose bit i is f(i).
template <typename T, typename F>
uint64_t mask(const F& f) {
  uint64_t result = 0;
  for (size_t i = 0; i < 64 / sizeof(T); ++i) result |= uint64_t{f(i)} << i;
  return result;
}

inline bool is_one(uint64_t mask, size_t i) { return mask >> i & 1; }

template <typename T, typename F>
Vector both(const Vector& a, const Vector& b, const F& f) {
  const auto x = lanes<T>(a);
  const auto y = lanes<T>(b);
  return each<T>([&](size_t i) { return f(x[i], y[i]); });
}
template <typename T, typename F>
uint64_t compare(const Vector& a, const Vector& b, const F& f) {
  const auto x = lanes<T>(a);
  const auto y = lanes<T>(b);
  return mask<T>([&](size_t i) { return f(x[i], y[i]); });
}

// Memory, constants, and casts.

inline Vector load(const void* p) {
  Vector v;
  memcpy(&v, p, sizeof(v));
  return v;
}
inline void store(void* p, const Vector& v) { memcpy(p, &v, sizeof(v)); }
template <typename T>
void store_some(void* p, uint64_t some, const Vector& v) {
  const auto x = lanes<T>(v);
  for (size_t i = 0; i < x.size(); ++i) {
    if (is_one(some, i)) memcpy(static_cast<T*>(p) + i, &x[i], sizeof(T));
  }
}
template <typename T>
Vector all(T value) {
  return each<T>([=](size_t) { return value; });
}
template <typename T, typename... Values>
Vector in_order(Values... values) {
  const T given[] = {static_cast<T>(values)...};
  return each<T>([&](size_t i) { return given[i]; });
}
template <typename Part>
Vector widened(const Part& part) {  // what lies above has any value: here, ones
  Vector v = all<uint8_t>(255);
  memcpy(v.byte, &part, sizeof(part));
  return v;
}
template <typename Part>
Part lowest(const Vector& v) {
  Part part;
  memcpy(&part, v.byte, sizeof(part));
  return part;
}
inline __m256i half(const Vector& v, int number) {
  __m256i part;
  memcpy(&part, v.byte + 32 * number, 32);
  return part;
}
inline Vector with_half(Vector v, __m256 part, int number) {
  memcpy(v.byte + 32 * number, &part, 32);
  return v;
}
inline Vector four_times(__m128i part) {
  Vector v;
  for (size_t k = 0; k < 64; k += 16) memcpy(v.byte + k, &part, 16);
  return v;
}
inline Vector same(const Vector& v) { return v; }

// Masks.

template <typename T>
Vector blend(uint64_t chosen, const Vector& a, const Vector& b) {
  const auto x = lanes<T>(a);
  const auto y = lanes<T>(b);
  return each<T>([&](size_t i) { return is_one(chosen, i) ? y[i] : x[i]; });
}
template <typename T>
Vector chosen_or(const Vector& otherwise, uint64_t chosen, const Vector& a) {
  return blend<T>(chosen, otherwise, a);
}
template <typename T>
Vector chosen_or_0(uint64_t chosen, const Vector& a) {
  return blend<T>(chosen, Vector{}, a);
}
template <typename T>
Vector subtract_or(const Vector& otherwise, uint64_t chosen, const Vector& a, const Vector& b) {
  return blend<T>(chosen, otherwise, subtract<T>(a, b));
}
template <typename T>
Vector compress(uint64_t chosen, const Vector& a) {
  Lanes<T> result{};
  size_t found = 0;
  for (size_t i = 0; i < result.size(); ++i) {
    if (is_one(chosen, i)) result[found++] = lanes<T>(a)[i];
  }
  return load(result.data());
}
template <typename T>
Vector expand_or(const Vector& otherwise, uint64_t chosen, const Vector& a) {
  size_t found = 0;
  return each<T>(
      [&](size_t i) { return is_one(chosen, i) ? lanes<T>(a)[found++] : lanes<T>(otherwise)[i]; });
}
template <typename T>
Vector expand(uint64_t chosen, const Vector& a) {
  return expand_or<T>(Vector{}, chosen, a);
}
}  // namespace emulated
