// Kernels give the same bits wherever arrays begin, so that what is left before and after whole
// vectors is treated as they are.

#include <doctest/doctest.h>

#include <limits>

#include "float_cases.hpp"
#include "shifted.hpp"

using namespace gradwire;

namespace {

/// Elements at an address that is `shift` elements past a multiple of 64 bytes.
template <typename T>
class Placed {
 public:
  Placed(const std::vector<T>& elements, std::size_t shift)
      : bytes_(bytes_of(elements), shift * sizeof(T)), count_(elements.size()) {}
  T* data() { return reinterpret_cast<T*>(bytes_.data()); }
  std::vector<T> elements() {
    std::vector<T> result(count_);
    if (count_ > 0) std::memcpy(result.data(), bytes_.data(), count_ * sizeof(T));
    return result;
  }

 private:
  static std::vector<std::uint8_t> bytes_of(const std::vector<T>& elements) {
    const auto* const p = reinterpret_cast<const std::uint8_t*>(elements.data());
    return {p, p + elements.size() * sizeof(T)};
  }
  Shifted bytes_;
  std::size_t count_;
};

/// Calls run(kernels, count, shift), which returns a vector, for all kernels and shifts, with
/// counts that leave every remainder. The bits must be those of the scalar kernels without a shift.
template <typename F>
void same_at_all_shifts(const F& run) {
  for (std::size_t shift = 0; shift < 64; ++shift) {
    for (const std::size_t count : {5 * shift % 64, 64 + (11 * shift + 7) % 64, 300 + shift}) {
      const auto wanted = run(kScalarKernels, count, std::size_t{0});
      for (const Kernels* kernels : all_kernels()) {
        const auto found = run(*kernels, count, shift);
        REQUIRE(found.size() == wanted.size());
        if (wanted.empty()) continue;
        const std::size_t size = wanted.size() * sizeof(wanted[0]);
        INFO(kernels->name, ", ", count, " elements, shift ", shift);
        CHECK(std::memcmp(found.data(), wanted.data(), size) == 0);
      }
    }
  }
}

/// NaN as processors make it, so that a sum of two of them has the same bits in either order.
const float kNan = std::bit_cast<float>(0xFFC00000u);
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kSubnormal = std::numeric_limits<float>::denorm_min();
constexpr float kScales[] = {0.3f, 0.0f, -0.0f, kSubnormal, -kSubnormal};

/// With zeros of both signs, subnormal numbers, infinities and NaN.
std::vector<float> odd_floats(std::size_t count, unsigned seed = 1) {
  std::vector<float> x = floats(count, seed);
  for (std::size_t i = 0; i < count; ++i) {
    if (i % 29 == 4) x[i] = i % 2 == 0 ? kInfinity : -kInfinity;
    if (i % 31 == 6) x[i] = kNan;
    if (i % 13 == 2) x[i] = i % 2 == 0 ? 0.0f : -0.0f;
  }
  return x;
}

template <typename T>
std::vector<T> numbers(std::size_t count, unsigned seed = 1) {
  std::mt19937 engine(seed);
  std::vector<T> x(count);
  for (T& v : x) v = static_cast<T>(engine());
  return x;
}

/// Levels from -127 to 127, or -32767 to 32767, many of them 0.
template <typename Level>
std::vector<Level> levels(std::size_t count) {
  std::vector<Level> x = numbers<Level>(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (i % 3 == 0 || x[i] == std::numeric_limits<Level>::min()) x[i] = 0;
  }
  return x;
}

constexpr RandomStream kStream = {{7, 9}, 100};

template <typename Level>
const LevelKernels<Level>& of(const Kernels& kernels) {
  if constexpr (sizeof(Level) == 1) {
    return kernels.floats.levels;
  } else {
    return kernels.floats.wide_levels;
  }
}

/// Bits of the elements from `first` on, at a place that depends on it.
std::vector<std::uint8_t> bits_from(std::size_t first, std::size_t count, unsigned seed) {
  const auto bits = numbers<std::uint8_t>(count, seed);
  std::vector<std::uint8_t> packed((first + count + 7) / 8);
  for (std::size_t i = 0; i < count; ++i) {
    auto& byte = packed[(first + i) / 8];
    byte = static_cast<std::uint8_t>(byte | (bits[i] & 1) << (first + i) % 8);
  }
  return packed;
}

}  // namespace

TEST_CASE_TEMPLATE("levels of floats anywhere", Level, std::int8_t, std::int16_t) {
  const float unit = sizeof(Level) == 1 ? 0x1p24f : 0x1p16f;
  for (const bool is_random : {false, true}) {
    for (const bool clips : {false, true}) {
      for (const float scale : kScales) {
        const LevelGrid grid = {scale * unit, 4 * unit, clips};
        same_at_all_shifts([&](const Kernels& kernels, std::size_t count, std::size_t shift) {
          Placed<float> x(odd_floats(count), shift);
          Placed<Level> out(std::vector<Level>(count), 63 - shift);
          of<Level>(kernels).quantize(x.data(), count, &grid, is_random ? &kStream : nullptr,
                                      out.data());
          return out.elements();
        });
      }
    }
  }
}

TEST_CASE_TEMPLATE("floats of levels anywhere", Level, std::int8_t, std::int16_t) {
  for (const bool add : {false, true}) {
    for (const float scale : kScales) {
      same_at_all_shifts([&](const Kernels& kernels, std::size_t count, std::size_t shift) {
        Placed<Level> x(levels<Level>(count), shift);
        Placed<float> out(odd_floats(count), 63 - shift);
        of<Level>(kernels).dequantize(x.data(), count, scale, add, out.data());
        return out.elements();
      });
    }
  }
}

TEST_CASE("powers anywhere") {
  for (const std::int32_t base : {0, 100, 128}) {
    same_at_all_shifts([&](const Kernels& kernels, std::size_t count, std::size_t shift) {
      Placed<float> x(odd_floats(count), shift);
      Placed<std::int8_t> out(std::vector<std::int8_t>(count), 63 - shift);
      kernels.floats.to_powers(x.data(), count, base, &kStream, out.data());
      return out.elements();
    });
    for (const bool add : {false, true}) {
      for (const float scale : kScales) {
        same_at_all_shifts([&](const Kernels& kernels, std::size_t count, std::size_t shift) {
          Placed<std::int8_t> x(levels<std::int8_t>(count), shift);
          Placed<float> out(odd_floats(count), 63 - shift);
          kernels.floats.from_powers(x.data(), count, base, scale, add, out.data());
          return out.elements();
        });
      }
    }
  }
}

TEST_CASE("floats of signs anywhere, from any bit on") {
  for (const bool add : {false, true}) {
    for (const bool has_zeros : {false, true}) {
      for (const float scale : kScales) {
        const float value[2] = {scale, -scale};
        same_at_all_shifts([&](const Kernels& kernels, std::size_t count, std::size_t shift) {
          Placed<std::uint8_t> negative(bits_from(shift, count, 1), shift);
          Placed<std::uint8_t> nonzero(bits_from(shift, count, 2), 63 - shift);
          Placed<float> out(odd_floats(count), shift);
          kernels.floats.from_signs(negative.data(), has_zeros ? nonzero.data() : nullptr, shift,
                                    count, value, add, out.data());
          return out.elements();
        });
      }
    }
  }
}

TEST_CASE("signs of floats anywhere") {
  same_at_all_shifts([&](const Kernels& kernels, std::size_t count, std::size_t shift) {
    Placed<float> x(odd_floats(count), shift);
    const std::size_t bytes = (count + 7) / 8;
    Placed<std::uint8_t> out(std::vector<std::uint8_t>(2 * bytes), 63 - shift);
    kernels.floats.signs(x.data(), count, out.data(), out.data() + bytes);
    return out.elements();
  });
}

TEST_CASE("weighted sums anywhere, also in place") {
  for (const bool in_place : {false, true}) {
    for (const float scale : kScales) {
      same_at_all_shifts([&](const Kernels& kernels, std::size_t count, std::size_t shift) {
        Placed<float> x(odd_floats(count), shift);
        Placed<float> residual(odd_floats(count, 2), 63 - shift);
        Placed<float> out(std::vector<float>(count), shift / 2);
        Placed<float>& to = in_place ? residual : out;
        kernels.floats.combine(x.data(), count, scale, 0.9f, residual.data(), to.data());
        return to.elements();
      });
    }
  }
}

TEST_CASE("sums of floats anywhere") {
  same_at_all_shifts([&](const Kernels& kernels, std::size_t count, std::size_t shift) {
    std::vector<double> sums;
    for (const bool is_finite : {false, true}) {
      Placed<float> x(is_finite ? floats(count) : odd_floats(count), shift);
      FloatStats stats{};
      kernels.floats.stats(x.data(), count, &stats);
      FloatStats squares{};
      kernels.floats.squares(x.data(), count, &squares);
      SignSums signs{};
      kernels.floats.sign_sums(x.data(), count, &signs);
      sums.insert(sums.end(), {stats.sum, stats.sum_of_squares, stats.sum_of_magnitudes,
                               static_cast<double>(stats.largest), squares.sum_of_squares,
                               static_cast<double>(squares.largest), signs.above, signs.below});
    }
    return sums;
  });
}

TEST_CASE("selection and counting anywhere") {
  for (const float threshold : {kSubnormal, 0.5f}) {
    same_at_all_shifts([&](const Kernels& kernels, std::size_t count, std::size_t shift) {
      Placed<float> x(odd_floats(count), shift);
      Placed<std::uint32_t> indices(std::vector<std::uint32_t>(count + 8), 63 - shift);
      Placed<float> values(std::vector<float>(count + 8), shift);
      const std::size_t found =
          kernels.floats.select(x.data(), count, threshold, 1000, indices.data(), values.data());
      CHECK(found == kernels.floats.count_above(x.data(), count, threshold));
      std::vector<std::uint32_t> both = indices.elements();
      both.resize(found);
      for (std::size_t i = 0; i < found; ++i) both.push_back(bits_of(values.data()[i]));
      return both;
    });
  }
}

TEST_CASE("conversions to float32 anywhere") {
  same_at_all_shifts([&](const Kernels& kernels, std::size_t count, std::size_t shift) {
    Placed<std::uint8_t> x(numbers<std::uint8_t>(8 * count), shift);
    Placed<float> out(std::vector<float>(2 * count), 63 - shift);
    kernels.floats.from_float16(x.data(), count, out.data());
    kernels.floats.from_bfloat16(x.data(), count, out.data() + count);
    return out.elements();
  });
  same_at_all_shifts([&](const Kernels& kernels, std::size_t count, std::size_t shift) {
    const std::vector<float> given = odd_floats(count);
    Placed<double> x(std::vector<double>(given.begin(), given.end()), shift);
    Placed<float> out(std::vector<float>(count), 63 - shift);
    kernels.floats.from_float64(reinterpret_cast<const std::uint8_t*>(x.data()), count, out.data());
    return out.elements();
  });
}

TEST_CASE("planes and nonzero elements anywhere") {
  for (const std::size_t width : {2, 4, 8}) {
    same_at_all_shifts([&](const Kernels& kernels, std::size_t count, std::size_t shift) {
      std::vector<std::uint8_t> given = numbers<std::uint8_t>(count * width);
      for (std::size_t i = 0; i < given.size(); ++i) given[i] = i / width % 3 == 0 ? 0 : given[i];
      Placed<std::uint8_t> x(given, shift);
      Placed<std::uint8_t> planes(std::vector<std::uint8_t>(given.size()), 63 - shift);
      std::uint8_t* plane[8] = {};
      for (std::size_t k = 0; k < width; ++k) plane[k] = planes.data() + k * count;
      kernels.floats.split(x.data(), count, width, plane);
      Placed<std::uint8_t> back(std::vector<std::uint8_t>(given.size()), shift);
      kernels.floats.join(plane, count, width, back.data());
      CHECK(back.elements() == given);
      Placed<std::uint8_t> bits(std::vector<std::uint8_t>((count + 7) / 8), shift);
      const std::size_t kept = kernels.floats.nonzero_bits(x.data(), count, width, bits.data());
      CHECK(kept == kernels.floats.count_ones(bits.data(), 0, count));
      Placed<std::uint8_t> some(std::vector<std::uint8_t>((kept + kSpareNonzeros) * width), shift);
      kernels.floats.keep_nonzeros(x.data(), count, width, kept, some.data());
      std::fill_n(back.data(), given.size(), std::uint8_t{1});
      CHECK(kept ==
            kernels.floats.put_nonzeros(bits.data(), 0, count, width, some.data(), back.data()));
      CHECK(back.elements() == given);
      return planes.elements();
    });
  }
}

TEST_CASE("bytes anywhere") {
  same_at_all_shifts([&](const Kernels& kernels, std::size_t count, std::size_t shift) {
    Placed<std::uint8_t> x(numbers<std::uint8_t>(8 * count), shift);
    std::vector<std::uint64_t> found(256);
    kernels.bytes.histogram(x.data(), count, found.data());
    found.push_back(kernels.bytes.crc32c(1, x.data(), count));
    ByteMap map = {{}, 16, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};
    for (unsigned k = 0; k < 256; ++k) map.to[k] = static_cast<std::uint8_t>(37 * k + 5);
    const auto add = [&](std::vector<std::uint8_t> bytes) {
      for (const std::uint8_t byte : bytes) found.push_back(byte);
    };
    Placed<std::uint8_t> mapped(std::vector<std::uint8_t>(count), 63 - shift);
    kernels.bytes.map_bytes(&map, x.data(), count, mapped.data());
    add(mapped.elements());
    for (const std::size_t width : {1, 2, 4, 8}) {
      Placed<std::uint8_t> narrow(std::vector<std::uint8_t>(count), 63 - shift);
      kernels.bytes.narrow(x.data(), count, width, 3, narrow.data());
      add(narrow.elements());
      Placed<std::uint8_t> wide(std::vector<std::uint8_t>(count * width), 63 - shift);
      kernels.bytes.widen(x.data(), count, 3, 1000, width, wide.data());
      add(wide.elements());
      std::uint64_t range[2] = {~std::uint64_t{0}, 0};
      kernels.bytes.range(x.data(), count, width, 0, range);
      found.insert(found.end(), range, range + 2);
      Placed<std::uint16_t> starts(std::vector<std::uint16_t>(count + 8), 63 - shift);
      found.push_back(kernels.bytes.run_starts(x.data(), count, width, starts.data()));
      found.insert(found.end(), starts.data(), starts.data() + found.back());
    }
    return found;
  });
}
