#pragma once

// Floats for tests of kernels, and whether all kernels do the same with them.

#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "all_kernels.hpp"

namespace gradwire {

inline constexpr std::size_t kSizes[] = {0,  1,   7,   8,   15,  16,   31,  32,
                                         33, 100, 511, 512, 513, 4096, 5000};

/// Of many magnitudes, with zeros of both signs and subnormal numbers.
inline std::vector<float> floats(std::size_t count, unsigned seed = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> exponent(-8, 8);
  std::vector<float> x(count);
  for (std::size_t i = 0; i < count; ++i) {
    x[i] = std::ldexp(normal(engine), exponent(engine));
    if (i % 11 == 3) x[i] = i % 2 == 0 ? 0.0f : -0.0f;
    if (i % 37 == 5) x[i] = std::ldexp(x[i], -140);
  }
  return x;
}

/// The bits of f(kernels), a vector, are the same for all kernels; those of the first one are
/// given.
template <typename F>
auto same_everywhere(const F& f) {
  const auto wanted = f(kScalarKernels.floats);
  for (const Kernels* kernels : all_kernels()) {
    const auto found = f(kernels->floats);
    REQUIRE(found.size() == wanted.size());
    if (wanted.empty()) continue;
    CHECK_MESSAGE(std::memcmp(found.data(), wanted.data(), wanted.size() * sizeof(wanted[0])) == 0,
                  kernels->name);
  }
  return wanted;
}

inline std::uint32_t bits_of(float x) { return std::bit_cast<std::uint32_t>(x); }

}  // namespace gradwire
