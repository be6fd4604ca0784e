// Kernels of floats, on arrays that fit into caches and on arrays that do not.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "kernel_rows.hpp"

namespace {

using namespace gradwire;

constexpr RandomStream kDraws = {{7, 9}, 0};
constexpr float kScale = 32;  // no element is larger: about the norm of 512 of them

/// Arrays of kMostFloats elements that all rows share: inputs, room for outputs, and both.
struct Arrays {
  Arrays() {
    std::mt19937 random(1);
    for (std::size_t i = 0; i < kMostFloats; ++i) {
      levels[i] = static_cast<std::int8_t>(std::lrint(x[i]));
      wide_levels[i] = static_cast<std::int16_t>(std::lrint(1000 * x[i]));
      doubles[i] = x[i];
    }
    // All pieces have the same nonzero elements, a third of all.
    for (std::size_t i = 0; i < kMostFloats; ++i) {
      const bool is_zero = i < kPiece ? random() % 3 != 0 : sparse[i - kPiece] == 0;
      sparse[i] = is_zero ? 0 : x[i];
      if (i < kPiece) kept += !is_zero;
      if (!is_zero) third[i / 8] = static_cast<std::uint8_t>(third[i / 8] | 1u << i % 8);
      halves[i / 8] = static_cast<std::uint8_t>(halves[i / 8] | (x[i] < 0) << i % 8);
    }
  }

  template <typename T>
  static const std::uint8_t* bytes(const std::vector<T>& elements, std::size_t first) {
    return reinterpret_cast<const std::uint8_t*>(elements.data() + first);
  }
  /// Four planes of a piece, one behind the other.
  std::uint8_t* plane(std::size_t first, std::size_t k) {
    return reinterpret_cast<std::uint8_t*>(out.data() + first) + k * kPiece;
  }

  std::span<const float> x = laplace(kMostFloats);
  std::vector<float> sparse = std::vector<float>(kMostFloats);
  std::size_t kept = 0;  // nonzero elements in a piece of `sparse`
  std::vector<double> doubles = std::vector<double>(kMostFloats);
  std::vector<std::int8_t> levels = std::vector<std::int8_t>(kMostFloats);
  std::vector<std::int16_t> wide_levels = std::vector<std::int16_t>(kMostFloats);
  Bytes third = Bytes(kMostFloats / 8 + 64);   // bits: nonzero elements of `sparse`
  Bytes halves = Bytes(kMostFloats / 8 + 64);  // bits: elements of `x` below 0
  std::vector<float> out = std::vector<float>(kMostFloats + kPiece);
  std::vector<float> residual = std::vector<float>(kMostFloats);
  std::vector<std::int8_t> new_levels = std::vector<std::int8_t>(kMostFloats);
  std::vector<std::int16_t> new_wide_levels = std::vector<std::int16_t>(kMostFloats);
  Bytes bits[2] = {Bytes(kMostFloats / 8 + 64), Bytes(kMostFloats / 8 + 64)};
};

Arrays& arrays() {
  static Arrays made;
  return made;
}

/// `call` gets the first element of a piece. Bytes are those of the elements as float32.
template <typename Call>
void add(const char* kernel, const char* variant, Call call) {
  const std::pair<const char*, std::size_t> sizes[] = {{"1M", kPiece << 4}, {"25M", kMostFloats}};
  for (const auto& [name, size] : sizes) {
    add_rows(kernel, std::string(name) + variant, [=, size = size] {
      Arrays& a = arrays();
      return Work{sizeof(float) * size, [=, &a](const Kernels& kernels) {
                    for (std::size_t i = 0; i < size; i += kPiece) call(kernels.floats, a, i);
                  }};
    });
  }
}

LevelGrid grid(float levels, unsigned bits) {
  return {std::ldexp(levels / kScale, static_cast<int>(bits)),
          std::ldexp(levels, static_cast<int>(bits)), false};
}

void add_conversions_and_sums() {
  add("floats.from_float16", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    k.from_float16(Arrays::bytes(a.wide_levels, i), kPiece, &a.out[i]);
  });
  add("floats.from_bfloat16", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    k.from_bfloat16(Arrays::bytes(a.wide_levels, i), kPiece, &a.out[i]);
  });
  add("floats.from_float64", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    k.from_float64(Arrays::bytes(a.doubles, i), kPiece, &a.out[i]);
  });
  add("floats.stats", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    FloatStats stats{};
    k.stats(&a.x[i], kPiece, &stats);
    benchmark::DoNotOptimize(stats);
  });
  add("floats.squares", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    FloatStats stats{};
    k.squares(&a.x[i], kPiece, &stats);
    benchmark::DoNotOptimize(stats);
  });
  add("floats.sign_sums", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    SignSums sums{};
    k.sign_sums(&a.x[i], kPiece, &sums);
    benchmark::DoNotOptimize(sums);
  });
  add("floats.combine", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    k.combine(&a.x[i], kPiece, 1, 0.9f, &a.residual[i], &a.residual[i]);
  });
}

void add_levels() {
  for (const bool is_random : {true, false}) {
    const char* const variant = is_random ? "" : "_nearest";
    const RandomStream* const draws = is_random ? &kDraws : nullptr;
    add("floats.levels.quantize", variant, [=](const FloatKernels& k, Arrays& a, std::size_t i) {
      const LevelGrid four = grid(4, kLevelBits);
      k.levels.quantize(&a.x[i], kPiece, &four, draws, &a.new_levels[i]);
    });
    add("floats.wide_levels.quantize", variant,
        [=](const FloatKernels& k, Arrays& a, std::size_t i) {
          const LevelGrid many = grid(1000, kWideLevelBits);
          k.wide_levels.quantize(&a.x[i], kPiece, &many, draws, &a.new_wide_levels[i]);
        });
  }
  add("floats.to_powers", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    k.to_powers(&a.x[i], kPiece, 10, &kDraws, &a.new_levels[i]);
  });
  for (const bool adds : {false, true}) {
    const char* const variant = adds ? "_add" : "";
    add("floats.levels.dequantize", variant, [=](const FloatKernels& k, Arrays& a, std::size_t i) {
      k.levels.dequantize(&a.levels[i], kPiece, 0.5f, adds, &a.out[i]);
    });
    add("floats.wide_levels.dequantize", variant,
        [=](const FloatKernels& k, Arrays& a, std::size_t i) {
          k.wide_levels.dequantize(&a.wide_levels[i], kPiece, 0.5f, adds, &a.out[i]);
        });
    add("floats.from_powers", variant, [=](const FloatKernels& k, Arrays& a, std::size_t i) {
      k.from_powers(&a.levels[i], kPiece, 110, 0.5f, adds, &a.out[i]);
    });
    add("floats.from_signs", variant, [=](const FloatKernels& k, Arrays& a, std::size_t i) {
      const float values[] = {0.5f, -0.5f};
      k.from_signs(a.halves.data(), nullptr, i, kPiece, values, adds, &a.out[i]);
    });
  }
  add("floats.from_signs", "_zeros", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    const float values[] = {0.5f, -0.5f};
    k.from_signs(a.halves.data(), a.third.data(), i, kPiece, values, false, &a.out[i]);
  });
}

void add_bits_and_selection() {
  add("floats.signs", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    k.signs(&a.x[i], kPiece, &a.bits[0][i / 8], &a.bits[1][i / 8]);
  });
  add("floats.keep_bits", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    k.keep_bits(&a.halves[i / 8], &a.third[i / 8], kPiece, &a.bits[0][i / 8]);
  });
  add("floats.spread_bits", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    k.spread_bits(&a.halves[i / 8], a.halves.data() + a.halves.size(), 3, &a.third[i / 8], kPiece,
                  &a.bits[0][i / 8]);
  });
  add("floats.count_ones", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    benchmark::DoNotOptimize(k.count_ones(a.third.data(), i, kPiece));
  });
  for (const float threshold : {4.6f, 2.3f}) {  // one element in 100, one in 10
    const char* const variant = threshold > 4 ? "_1%" : "_10%";
    add("floats.select", variant, [=](const FloatKernels& k, Arrays& a, std::size_t i) {
      auto* const indices = reinterpret_cast<std::uint32_t*>(a.new_levels.data());
      benchmark::DoNotOptimize(k.select(&a.x[i], kPiece, threshold, 0, indices, a.out.data()));
    });
    add("floats.count_above", variant, [=](const FloatKernels& k, Arrays& a, std::size_t i) {
      benchmark::DoNotOptimize(k.count_above(&a.x[i], kPiece, threshold));
    });
  }
}

void add_nonzeros_and_planes() {
  constexpr std::size_t kWidth = sizeof(float);
  add("floats.nonzero_bits", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    benchmark::DoNotOptimize(
        k.nonzero_bits(Arrays::bytes(a.sparse, i), kPiece, kWidth, &a.bits[0][i / 8]));
  });
  add("floats.keep_nonzeros", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    k.keep_nonzeros(Arrays::bytes(a.sparse, i), kPiece, kWidth, a.kept, a.plane(i, 0));
  });
  add("floats.put_nonzeros", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    const auto* const nonzeros = reinterpret_cast<const std::uint8_t*>(&a.x[i / 3]);
    benchmark::DoNotOptimize(
        k.put_nonzeros(a.third.data(), i, kPiece, kWidth, nonzeros, a.plane(i, 0)));
  });
  add("floats.split", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    std::uint8_t* const planes[] = {a.plane(i, 0), a.plane(i, 1), a.plane(i, 2), a.plane(i, 3)};
    k.split(reinterpret_cast<const std::uint8_t*>(&a.x[i]), kPiece, kWidth, planes);
  });
  add("floats.join", "", [](const FloatKernels& k, Arrays& a, std::size_t i) {
    const std::uint8_t* const planes[] = {a.plane(i, 0), a.plane(i, 1), a.plane(i, 2),
                                          a.plane(i, 3)};
    k.join(planes, kPiece, kWidth, reinterpret_cast<std::uint8_t*>(&a.residual[i]));
  });
}

}  // namespace

void add_float_rows() {
  add_conversions_and_sums();
  add_levels();
  add_bits_and_selection();
  add_nonzeros_and_planes();
}
