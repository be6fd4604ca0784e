#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "float_cases.hpp"

using namespace gradwire;

TEST_CASE("sums of floats") {
  std::vector<std::size_t> sizes(std::begin(kSizes), std::end(kSizes));
  sizes.push_back(33'333);  // summed at several places at once
  for (const std::size_t size : sizes) {
    const std::vector<float> x = floats(size);
    const auto stats = [&](bool all) {
      const auto found = same_everywhere([&](const FloatKernels& kernels) {
        FloatStats of_kernel{};
        (all ? kernels.stats : kernels.squares)(x.data(), x.size(), &of_kernel);
        return std::vector<double>{of_kernel.sum, of_kernel.sum_of_squares,
                                   of_kernel.sum_of_magnitudes,
                                   static_cast<double>(of_kernel.largest)};
      });
      return FloatStats{found[0], found[1], found[2], static_cast<std::uint32_t>(found[3])};
    };
    double sum = 0;
    double squares = 0;
    double magnitudes = 0;
    std::uint32_t largest = 0;
    for (const float v : x) {
      sum += v;
      squares += double{v} * v;
      magnitudes += std::fabs(v);
      largest = std::max(largest, bits_of(std::fabs(v)));
    }
    CHECK(stats(true).sum == doctest::Approx(sum).epsilon(1e-5));
    CHECK(stats(true).sum_of_magnitudes == doctest::Approx(magnitudes).epsilon(1e-6));
    CHECK(stats(true).sum_of_squares == doctest::Approx(squares).epsilon(1e-6));
    CHECK(stats(true).largest == largest);
    CHECK(stats(false).sum_of_squares == stats(true).sum_of_squares);
    CHECK(stats(false).largest == largest);
  }
}

TEST_CASE("sums by sign") {
  for (const std::size_t size : kSizes) {
    const std::vector<float> x = floats(size);
    SignSums wanted{};
    for (const float v : x) {
      (v < 0 ? wanted.below : wanted.above) += std::fabs(v);
    }
    const auto found = same_everywhere([&](const FloatKernels& kernels) {
      SignSums sums{};
      kernels.sign_sums(x.data(), x.size(), &sums);
      return std::vector<double>{sums.above, sums.below};
    });
    CHECK(found[0] == doctest::Approx(wanted.above).epsilon(1e-6));
    CHECK(found[1] == doctest::Approx(wanted.below).epsilon(1e-6));
  }
}

TEST_CASE("NaN is larger than infinity, which is larger than all numbers") {
  for (const float odd :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::size_t place : {0, 8, 31, 40}) {
      std::vector<float> x(41, 3e38f);
      x[place] = odd;
      for (const Kernels* kernels : all_kernels()) {
        FloatStats stats{};
        kernels->floats.squares(x.data(), x.size(), &stats);
        CHECK(stats.largest == bits_of(std::fabs(odd)));
        CHECK(stats.largest >= kInfinityBits);
      }
    }
  }
}

TEST_CASE("selection and counting") {
  for (const std::size_t size : kSizes) {
    const std::vector<float> x = floats(size);
    for (const float threshold : {1e-45f, 1e-38f, 0.5f, 20.0f, 3e38f}) {
      std::vector<std::uint32_t> wanted;
      for (std::uint32_t i = 0; i < size; ++i) {
        if (std::fabs(x[i]) >= threshold) wanted.push_back(i + 1000);
      }
      for (const Kernels* kernels : all_kernels()) {
        std::vector<std::uint32_t> indices(size + 8);
        std::vector<float> values(size + 8);
        const std::size_t found =
            kernels->floats.select(x.data(), size, threshold, 1000, indices.data(), values.data());
        indices.resize(found);
        CHECK(indices == wanted);
        for (std::size_t i = 0; i < found; ++i) CHECK(values[i] == x[indices[i] - 1000]);
        CHECK(kernels->floats.count_above(x.data(), size, threshold) == wanted.size());
      }
    }
  }
}

TEST_CASE("float16, bfloat16 and float64 become float32") {
  std::vector<std::uint16_t> half(65536);
  for (std::uint32_t i = 0; i < 65536; ++i) half[i] = static_cast<std::uint16_t>(i);
  const auto* const bytes = reinterpret_cast<const std::uint8_t*>(half.data());
  const auto from_16 = same_everywhere([&](const FloatKernels& kernels) {
    std::vector<float> found(half.size());
    kernels.from_float16(bytes, half.size(), found.data());
    return found;
  });
  const auto from_b16 = same_everywhere([&](const FloatKernels& kernels) {
    std::vector<float> found(half.size());
    kernels.from_bfloat16(bytes, half.size(), found.data());
    return found;
  });
  for (std::uint32_t i = 0; i < 65536; ++i) {
    const int exponent = static_cast<int>(i >> 10 & 31);
    const float digits = static_cast<float>(i & 1023) / 1024;
    const float size =
        exponent == 0 ? std::ldexp(digits, -14) : std::ldexp(1 + digits, exponent - 15);
    if (exponent < 31) CHECK(from_16[i] == (i >= 32768 ? -size : size));
    if (exponent == 31) {
      const std::uint32_t wanted = (i & 32768) << 16 | kInfinityBits | (i & 1023) << 13;
      CHECK(bits_of(from_16[i]) == wanted);
    }
    CHECK(bits_of(from_b16[i]) == (i << 16));
  }
  const std::vector<double> x = {0.1, -1e300, 1e-300, 3.5, -0.0};
  const auto from_64 = same_everywhere([&](const FloatKernels& kernels) {
    std::vector<float> found(x.size());
    kernels.from_float64(reinterpret_cast<const std::uint8_t*>(x.data()), x.size(), found.data());
    return found;
  });
  CHECK(from_64[0] == 0.1f);
  CHECK(from_64[1] == -std::numeric_limits<float>::infinity());
  CHECK(from_64[2] == 0);
}

TEST_CASE("planes there and back") {
  std::mt19937_64 engine(3);
  for (const std::size_t width : {2, 4, 8}) {
    for (const std::size_t size : kSizes) {
      std::vector<std::uint8_t> elements(size * width);
      for (auto& byte : elements) byte = static_cast<std::uint8_t>(engine());
      const auto planes = same_everywhere([&](const FloatKernels& kernels) {
        std::vector<std::uint8_t> found(width * size);
        std::uint8_t* pointers[8] = {};
        for (std::size_t k = 0; k < width; ++k) pointers[k] = found.data() + k * size;
        kernels.split(elements.data(), size, width, pointers);
        return found;
      });
      for (std::size_t i = 0; i < size; ++i) {
        std::uint64_t bits = 0;
        std::memcpy(&bits, &elements[i * width], width);
        const std::uint64_t rotated = bits << 1 | bits >> (8 * width - 1);
        for (std::size_t k = 0; k < width; ++k) {
          CHECK(planes[k * size + i] == static_cast<std::uint8_t>(rotated >> (8 * k)));
        }
      }
      const std::uint8_t* pointers[8] = {};
      for (std::size_t k = 0; k < width; ++k) pointers[k] = planes.data() + k * size;
      CHECK(same_everywhere([&](const FloatKernels& kernels) {
              std::vector<std::uint8_t> back(elements.size());
              kernels.join(pointers, size, width, back.data());
              return back;
            }) == elements);
    }
  }
}

TEST_CASE("nonzero elements there and back, from any bit on") {
  std::mt19937_64 engine(5);
  for (const std::size_t width : {2, 4, 8}) {
    for (const std::size_t size : kSizes) {
      for (const unsigned share : {0u, 10u, 200u, 256u}) {
        std::vector<std::uint8_t> elements(size * width);
        std::vector<std::uint8_t> wanted;
        for (std::size_t i = 0; i < size; ++i) {
          if (engine() % 256 >= share) continue;
          for (std::size_t k = 0; k < width; ++k) {
            elements[i * width + k] = engine() % 3 == 0 ? static_cast<std::uint8_t>(engine()) : 0;
          }
          elements[i * width + engine() % width] |= 16;
          wanted.insert(wanted.end(), &elements[i * width], &elements[i * width] + width);
        }
        const auto bits = same_everywhere([&](const FloatKernels& kernels) {
          std::vector<std::uint8_t> found((size + 7) / 8);
          CHECK(kernels.nonzero_bits(elements.data(), size, width, found.data()) ==
                wanted.size() / width);
          return found;
        });
        CHECK(same_everywhere([&](const FloatKernels& kernels) {
                std::vector<std::uint8_t> kept(wanted.size());
                kernels.keep_nonzeros(elements.data(), size, width, kept.size() / width,
                                      kept.data());
                return kept;
              }) == wanted);
        wanted.resize(wanted.size() + kSpareNonzeros * width, 0xEE);
        for (std::size_t first : {std::size_t{0}, std::size_t{5}}) {
          if (first > size) continue;
          std::size_t skipped = 0;
          for (std::size_t i = 0; i < first; ++i) skipped += bits[i / 8] >> i % 8 & 1;
          const auto back = same_everywhere([&](const FloatKernels& kernels) {
            std::vector<std::uint8_t> found((size - first) * width);
            kernels.put_nonzeros(bits.data(), first, size - first, width,
                                 wanted.data() + skipped * width, found.data());
            return found;
          });
          CHECK(std::equal(back.begin(), back.end(), elements.begin() + first * width));
        }
      }
    }
  }
}
