#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

#include "float_cases.hpp"
#include "gradients/bucket_scales.hpp"

using namespace gradwire;

namespace {

template <typename Level>
constexpr unsigned kBits = sizeof(Level) == 1 ? kLevelBits : kWideLevelBits;
template <typename Level>
constexpr float kMost = std::numeric_limits<Level>::max();

template <typename Level>
const LevelKernels<Level>& of(const FloatKernels& kernels) {
  if constexpr (sizeof(Level) == 1) {
    return kernels.levels;
  } else {
    return kernels.wide_levels;
  }
}

/// Levels of `x`, from all kernels; `random` is null to round to nearest.
template <typename Level>
std::vector<Level> quantized(const std::vector<float>& x, const LevelGrid& grid,
                             const RandomStream* random) {
  return same_everywhere([&](const FloatKernels& kernels) {
    std::vector<Level> found(x.size());
    of<Level>(kernels).quantize(x.data(), x.size(), &grid, random, found.data());
    return found;
  });
}

constexpr RandomStream kStream = {{7, 9}, 100};

}  // namespace

TEST_CASE_TEMPLATE("levels", Level, std::int8_t, std::int16_t) {
  for (const std::size_t size : kSizes) {
    const std::vector<float> x = floats(size);
    for (const float levels : {1.0f, 4.0f, 127.0f, kMost<Level>}) {
      const LevelGrid grid = {std::ldexp(levels / 3, kBits<Level>),
                              std::ldexp(levels, kBits<Level>), true};
      const auto random = quantized<Level>(x, grid, &kStream);
      const auto nearest = quantized<Level>(x, grid, nullptr);
      const double slack = 1e-5 + std::ldexp(levels, -23);  // factor and product are rounded
      for (std::size_t i = 0; i < size; ++i) {
        const double exact = std::min(std::fabs(x[i]) / 3.0, 1.0) * levels;
        const double sign = x[i] < 0 ? -1 : 1;
        CHECK(std::fabs(sign * random[i] - exact) < 1 + slack);
        CHECK(std::fabs(sign * nearest[i] - exact) <= 0.5 + slack);
      }
      for (const bool add : {false, true}) {
        const auto back = same_everywhere([&](const FloatKernels& kernels) {
          std::vector<float> found(size, 0.1f);
          of<Level>(kernels).dequantize(random.data(), size, 0.3f, add, found.data());
          return found;
        });
        for (std::size_t i = 0; i < size; ++i) {
          const float value = 0.3f * static_cast<float>(random[i]);
          CHECK(back[i] == (add ? 0.1f + value : value));
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("levels of elements that need not be cut off", Level, std::int8_t,
                   std::int16_t) {
  constexpr float most = kMost<Level>;
  LevelGrid grid = {std::ldexp(1.0f, kBits<Level>), std::ldexp(most, kBits<Level>), false};
  std::vector<float> x = floats(1000);
  for (float& v : x) v = std::clamp(v, -most, most);
  for (std::size_t i = 100; i < 500; ++i) x[i] = i % 2 == 0 ? most : -most;
  const auto levels = quantized<Level>(x, grid, &kStream);
  grid.clips = true;
  CHECK(levels == quantized<Level>(x, grid, &kStream));
  for (std::size_t i = 100; i < 500; ++i) CHECK(static_cast<float>(levels[i]) == x[i]);
}

namespace {

/// Elements that lie far above the grid of levels up to `most`.
std::vector<float> far_above(float most) {
  const float infinity = std::numeric_limits<float>::infinity();
  const float largest = std::numeric_limits<float>::max();
  const float far[] = {most + 0.5f, -most - 0.5f, most + 1, -most - 1, 2 * most,  -2 * most, 1e20f,
                       -1e20f,      largest,      -largest, infinity,  -infinity, NAN,       0};
  std::vector<float> x(1000);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = far[i % std::size(far)];
  return x;
}

}  // namespace

TEST_CASE_TEMPLATE("no level is the lowest number of its type", Level, std::int8_t, std::int16_t) {
  constexpr float most = kMost<Level>;
  const LevelGrid grid = {std::ldexp(1.0f, kBits<Level>), std::ldexp(most, kBits<Level>), false};
  const auto levels = quantized<Level>(far_above(most), grid, &kStream);
  CHECK(*std::ranges::min_element(levels) == -std::numeric_limits<Level>::max());
}

TEST_CASE("powers stay within -127 to 127, even if elements are not finite") {
  const std::vector<float> x = far_above(127);
  for (const std::int32_t base : {0, 50, 127}) {
    const auto powers = same_everywhere([&](const FloatKernels& kernels) {
      std::vector<std::int8_t> found(x.size());
      kernels.to_powers(x.data(), x.size(), base, &kStream, found.data());
      return found;
    });
    CHECK(*std::ranges::min_element(powers) == -127);
    CHECK(*std::ranges::max_element(powers) == 127);
  }
}

TEST_CASE_TEMPLATE("levels of many elements are those of their parts", Level, std::int8_t,
                   std::int16_t) {
  constexpr std::size_t kPart = 1600;
  std::vector<float> x = floats(40'000);
  for (float& v : x) v = std::clamp(v, -4.0f, 4.0f);
  for (const bool clips : {false, true}) {
    for (const bool is_random : {false, true}) {
      const LevelGrid grid = {std::ldexp(1.0f, kBits<Level>), std::ldexp(4.0f, kBits<Level>),
                              clips};
      const auto levels = quantized<Level>(x, grid, is_random ? &kStream : nullptr);
      std::vector<Level> parts(x.size());
      for (std::size_t i = 0; i < x.size(); i += kPart) {
        const RandomStream own = {{7, 9}, static_cast<std::uint32_t>(100 + i / 2)};
        of<Level>(kScalarKernels.floats)
            .quantize(x.data() + i, kPart, &grid, is_random ? &own : nullptr, parts.data() + i);
      }
      CHECK(levels == parts);
    }
  }
}

TEST_CASE("no element up to the scale comes above the most levels") {
  std::mt19937 engine(3);
  std::uniform_real_distribution<float> exponent(-96, 126);
  for (const unsigned levels : {1u, 4u, 127u, 128u, 1000u, 32767u}) {
    Quantizer quantizer;
    quantizer.levels = levels;
    for (int i = 0; i < 20'000; ++i) {
      const float scale = std::exp2(exponent(engine));
      const LevelGrid grid = level_grid(scale, quantizer);
      CHECK_FALSE(grid.clips);
      CHECK(scale * grid.factor <= grid.cap);
      CHECK(scale * grid.factor >= grid.cap * (1 - 0x1p-22f));
    }
  }
  CHECK(level_grid(std::numeric_limits<float>::max(), {}).clips);
}

TEST_CASE_TEMPLATE("halves are rounded away from zero", Level, std::int8_t, std::int16_t) {
  const LevelGrid grid = {std::ldexp(1.0f, kBits<Level>), std::ldexp(4.0f, kBits<Level>), true};
  const std::vector<float> x = {0.5f, -0.5f, 1.5f, -1.5f, 0.25f, -0.25f, 9.0f, -9.0f, 0.0f, -0.0f};
  const auto levels = quantized<Level>(x, grid, nullptr);
  CHECK(levels == std::vector<Level>{1, -1, 2, -2, 0, 0, 4, -4, 0, 0});
}

TEST_CASE("powers of two") {
  for (const std::size_t size : kSizes) {
    for (const std::int32_t base : {0, 50, 128}) {
      std::vector<float> x = floats(size);
      for (float& v : x) v = std::ldexp(v, base - 60);  // exponents below base + 127
      if (size > 20 && base == 128) x[20] = std::numeric_limits<float>::max();
      const RandomStream stream = {{1, 2}, 0};
      const auto levels = same_everywhere([&](const FloatKernels& kernels) {
        std::vector<std::int8_t> found(size);
        kernels.to_powers(x.data(), size, base, &stream, found.data());
        return found;
      });
      const auto back = same_everywhere([&](const FloatKernels& kernels) {
        std::vector<float> found(size, 5.0f);
        kernels.from_powers(levels.data(), size, base, 1, false, found.data());
        return found;
      });
      for (std::size_t i = 0; i < size; ++i) {
        const auto exponent = static_cast<std::int32_t>(bits_of(x[i]) >> 23 & 255);
        const std::int32_t up = std::min(exponent + 1, 254) - base;
        const std::int32_t low = std::max(exponent - base, 0);
        const std::int32_t size_of = std::abs(std::int32_t{levels[i]});
        CHECK((size_of == low || size_of == std::max(up, 0)));
        CHECK(std::isfinite(back[i]));
        if (levels[i] == 0) CHECK(back[i] == 0);
        if (levels[i] != 0) {
          CHECK(std::fabs(back[i]) == std::ldexp(1.0f, size_of + base - 127));
          CHECK(std::signbit(back[i]) == std::signbit(x[i]));
        }
      }
    }
  }
}
