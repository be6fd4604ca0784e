// Kernels of bins: integers that are wide, and rare ones among others.

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <random>

#include "codecs/entropy/bins.hpp"
#include "kernel_rows.hpp"

namespace {

using namespace gradwire;

/// Integers of many magnitudes, all multiples of `step`, and their bins.
struct Binned {
  Binned(DType dtype_of_elements, std::uint64_t step)
      : dtype(dtype_of_elements), width(item_size(dtype)), elements(kPiece * width) {
    std::mt19937_64 random(1);
    std::normal_distribution<double> normal;
    std::map<std::uint64_t, std::uint64_t> counts;
    for (std::size_t i = 0; i < kPiece; ++i) {
      const double value = 1000 * normal(random) * std::exp2(2 * normal(random));
      const auto steps = static_cast<std::uint64_t>(static_cast<std::int64_t>(value));
      const std::uint64_t element =
          (steps * step + (std::uint64_t{1} << 31)) & (~std::uint64_t{0} >> (64 - 8 * width));
      std::memcpy(elements.data() + i * width, &element, width);
      ++counts[to_key(element, dtype)];
    }
    std::vector<ValueCount> values;
    for (const auto& [key, count] : counts) values.push_back({key, count});
    const Bins bins = fit_bins(values, dtype, {false, false, 1, false});
    table = bin_table(bins, dtype);
    finder = bin_finder(bins, dtype, kPiece);
    symbols.resize(kPiece);
    fields.resize(fields_room(table, kPiece));
    out.resize(elements.size());
    write(kScalarKernels.bins);
  }

  void write(const BinKernels& kernels) {
    bits = kernels.write(&finder, &table, elements.data(), kPiece, width, symbols.data(),
                         fields.data());
  }
  void read(const BinKernels& kernels) {
    kernels.read(&table, symbols.data(), kPiece, width, fields.data(),
                 fields.data() + (bits + 7) / 8, out.data());
  }

  DType dtype;
  std::size_t width;
  Bytes elements;
  BinTable table;
  OwnedBinFinder finder;
  Bytes symbols;
  Bytes fields;
  Bytes out;
  std::size_t bits = 0;
};

template <typename Call>
void add(const char* kernel, const char* data, DType dtype, std::uint64_t step, Call call) {
  add_rows(kernel, data, [=] {
    const auto binned = std::make_shared<Binned>(dtype, step);
    return Work{binned->elements.size(),
                [=](const Kernels& kernels) { call(kernels.bins, *binned); }};
  });
}

void add_others(const char* data, std::size_t width, double share) {
  add_rows("bins.find_others", data, [=] {
    const auto elements = std::make_shared<Bytes>(kPiece * width);
    const auto places = std::make_shared<std::vector<std::uint32_t>>(kPiece + 8);
    std::mt19937 random(1);
    std::bernoulli_distribution is_other(share);
    for (std::size_t i = 0; i < kPiece; ++i) (*elements)[i * width] = is_other(random);
    return Work{elements->size(), [=](const Kernels& kernels) {
                  benchmark::DoNotOptimize(
                      kernels.bins.find_others(elements->data(), kPiece, width, 0, places->data()));
                }};
  });
}

}  // namespace

void add_bin_rows() {
  const auto add_both = [](const char* data, DType dtype, std::uint64_t step) {
    add("bins.write", data, dtype, step, [](const BinKernels& k, Binned& b) { b.write(k); });
    add("bins.read", data, dtype, step, [](const BinKernels& k, Binned& b) { b.read(k); });
  };
  add_both("uint32", DType::kUInt32, 1);
  add_both("int64", DType::kInt64, 1);
  add_both("int64_thousands", DType::kInt64, 1000);
  add_others("int8_1%", 1, 0.01);
  add_others("uint32_1%", 4, 0.01);
  add_others("uint32_10%", 4, 0.1);
  add_others("uint32_50%", 4, 0.5);
}
