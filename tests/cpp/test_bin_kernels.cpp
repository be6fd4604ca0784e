#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>
#include <vector>

#include "all_kernels.hpp"
#include "base/bit_io.hpp"
#include "codecs/entropy/bins.hpp"
#include "gradwire/error.hpp"
#include "shifted.hpp"

using namespace gradwire;

namespace {

constexpr DType kDTypes[] = {DType::kUInt8, DType::kInt16, DType::kUInt32, DType::kInt64};

/// Elements near a center, in multiples of a step; some are far away.
std::vector<std::uint8_t> elements_near(const Bins& bins, DType dtype, std::size_t count,
                                        std::uint32_t seed) {
  std::mt19937_64 random(seed);
  const std::size_t width = item_size(dtype);
  std::vector<std::uint8_t> bytes(count * width);
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned bits = static_cast<unsigned>(random() % bits_of(dtype));
    const std::uint64_t size = low_bits(random(), bits);
    const std::uint64_t steps = random() % 2 == 0 ? size : ~size;
    std::uint64_t element = bins.center + bins.step * steps;
    if (random() % 30 == 0) element += random() % 4;
    std::memcpy(bytes.data() + i * width, &element, width);
  }
  return bytes;
}

struct Case {
  const char* name;
  DType dtype;
  Bins bins;
  bool is_large = false;
};

/// Bins for all distances that a dtype allows, which are wider the farther they are.
std::vector<Bin> octaves(DType dtype, std::uint64_t step) {
  std::vector<Bin> bins;
  const int most = static_cast<int>(bits_of(dtype) - std::bit_width(step));
  const auto width = [](int bits) { return static_cast<std::uint8_t>(bits); };
  for (int bits = most; bits-- > 5;) {
    const std::int64_t size = std::int64_t{1} << bits;
    bins.push_back({-size - size, width(bits)});
  }
  bins.push_back({-32, 5});
  bins.push_back({0, 5});
  for (int bits = 5; bits < most; ++bits) bins.push_back({std::int64_t{1} << bits, width(bits)});
  return bins;
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const DType dtype : kDTypes) {
    const std::uint64_t center = 0x123456789ABCDEF0;
    all.push_back({"no steps", dtype, {center, 1, octaves(dtype, 1), {}, true}});
    all.push_back({"singles", dtype, {center, 1, octaves(dtype, 1), {-70, 3, 66, 101}, true}});
    all.push_back({"steps of 3", dtype, {center, 3, octaves(dtype, 3), {5, 9}, true}});
    all.push_back({"steps of 4", dtype, {center, 4, octaves(dtype, 4), {}, true}});
    all.push_back({"steps of 12", dtype, {center, 12, {{-32, 5}, {0, 5}}, {40}, true}});
    all.push_back({"only an escape", dtype, {center, 1, {}, {}, true}});
    all.push_back({"bins within cells",
                   dtype,
                   {center, 1, {{-7, 1}, {33, 0}, {66, 0}, {68, 2}, {101, 3}}, {70}, true}});
    all.push_back({"both signs", dtype, {center, 1, {{-9, 4}, {20, 1}}, {}, true}});
  }
  for (const DType dtype : {DType::kInt16, DType::kUInt16}) {
    for (Case one : std::vector<Case>(all)) {
      if (one.dtype != dtype) continue;
      one.is_large = true;
      all.push_back(one);
    }
  }
  return all;
}

/// The element that a symbol and a field stand for (FORMAT.md, section 5.6).
std::uint64_t element_of(const Case& one, std::size_t symbol, std::uint64_t field) {
  const auto& [center, step, wide, singles, has_escape] = one.bins;
  std::uint64_t element = field;
  if (symbol < wide.size()) {
    element = center + step * (static_cast<std::uint64_t>(wide[symbol].offset) + field);
  } else if (symbol < wide.size() + singles.size()) {
    element = center + step * static_cast<std::uint64_t>(singles[symbol - wide.size()]);
  }
  return low_bits(element, bits_of(one.dtype));
}

struct Written {
  std::vector<std::uint8_t> symbols;
  std::vector<std::uint8_t> fields;
  std::size_t bits;

  bool operator==(const Written&) const = default;
};

Written write_with(const Kernels& kernels, const Case& one, const std::uint8_t* elements,
                   std::size_t count) {
  // Many elements of two bytes have a table of their symbols.
  const OwnedBinFinder finder = bin_finder(one.bins, one.dtype, one.is_large ? 1 << 20 : 0);
  const BinTable table = bin_table(one.bins, one.dtype);
  const std::size_t width = item_size(one.dtype);
  Written written{std::vector<std::uint8_t>(count), std::vector<std::uint8_t>(count * width + 16),
                  0};
  written.bits = kernels.bins.write(&finder, &table, elements, count, width, written.symbols.data(),
                                    written.fields.data());
  written.fields.resize((written.bits + 7) / 8);
  return written;
}

std::vector<std::uint8_t> joined(const Case& one, const Written& written) {
  const BinTable table = bin_table(one.bins, one.dtype);
  const std::size_t width = item_size(one.dtype);
  BitReader reader(written.fields);
  std::vector<std::uint8_t> out(written.symbols.size() * width);
  for (std::size_t i = 0; i < written.symbols.size(); ++i) {
    const std::size_t symbol = written.symbols[i];
    const std::uint64_t element = element_of(one, symbol, reader.get(table.bits[symbol]));
    std::memcpy(out.data() + i * width, &element, width);
  }
  CHECK(reader.at_end());
  return out;
}

}  // namespace

TEST_CASE("bins there and back, the same everywhere") {
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    const BinTable table = bin_table(one.bins, one.dtype);
    const std::size_t width = item_size(one.dtype);
    for (const std::size_t size : sizes_to_try()) {
      CAPTURE(size);
      const auto elements = elements_near(one.bins, one.dtype, size, 1);
      const Written expected = write_with(kScalarKernels, one, elements.data(), size);
      CHECK(joined(one, expected) == elements);
      for (const Kernels* kernels : all_kernels()) {
        Shifted in(elements, size % 64);
        REQUIRE(write_with(*kernels, one, in.data(), size) == expected);
        Shifted fields(expected.fields, (size + 7) % 64);
        std::vector<std::uint8_t> back(elements.size());
        REQUIRE(kernels->bins.read(&table, expected.symbols.data(), size, width, fields.data(),
                                   fields.data() + expected.fields.size(), back.data()));
        REQUIRE(back == elements);
      }
    }
  }
}

TEST_CASE("the fields of bins end where their bytes end") {
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    const BinTable table = bin_table(one.bins, one.dtype);
    const std::size_t width = item_size(one.dtype);
    for (const std::size_t size : {1u, 15u, 16u, 17u, 300u}) {
      const auto elements = elements_near(one.bins, one.dtype, size, 2);
      const Written good = write_with(kScalarKernels, one, elements.data(), size);
      for (const Kernels* kernels : all_kernels()) {
        std::vector<std::uint8_t> back(elements.size());
        const auto takes = [&](std::vector<std::uint8_t> fields) {
          return kernels->bins.read(&table, good.symbols.data(), size, width, fields.data(),
                                    fields.data() + fields.size(), back.data());
        };
        CHECK(takes(good.fields));
        auto longer = good.fields;
        longer.push_back(0);
        CHECK_FALSE(takes(longer));
        if (good.bits == 0) continue;
        for (std::size_t shorter = 0; shorter < good.fields.size(); ++shorter) {
          REQUIRE_FALSE(takes(
              {good.fields.begin(), good.fields.begin() + static_cast<std::ptrdiff_t>(shorter)}));
        }
        for (std::size_t bit = good.bits % 8; bit % 8 != 0; ++bit) {
          auto padded = good.fields;
          padded.back() = static_cast<std::uint8_t>(padded.back() | 1u << bit);
          REQUIRE_FALSE(takes(padded));
        }
      }
    }
  }
}

TEST_CASE("any symbols, and fields of up to 64 bits, give the same elements everywhere") {
  std::mt19937_64 random(3);
  for (const DType dtype : kDTypes) {
    const std::size_t width = item_size(dtype);
    for (const bool has_steps : {false, true}) {
      BinTable table{};
      for (std::size_t s = 0; s < 256; ++s) {
        table.low[s] = random();
        table.step[s] = has_steps ? random() : 1;
        table.bits[s] = static_cast<std::uint8_t>(s % 65);
      }
      table.most_bits = 64;
      table.has_steps = has_steps;
      for (const std::size_t size : sizes_to_try()) {
        std::vector<std::uint8_t> symbols(size);
        for (auto& symbol : symbols) symbol = static_cast<std::uint8_t>(random());
        std::size_t bits = 0;
        for (const std::uint8_t symbol : symbols) bits += table.bits[symbol];
        std::vector<std::uint8_t> fields((bits + 7) / 8);
        for (auto& byte : fields) byte = static_cast<std::uint8_t>(random());
        if (bits % 8 != 0) fields.back() &= static_cast<std::uint8_t>((1u << bits % 8) - 1);
        std::vector<std::uint8_t> expected(size * width);
        BitReader reader(fields);
        for (std::size_t i = 0; i < size; ++i) {
          const std::size_t s = symbols[i];
          const std::uint64_t element = table.low[s] + table.step[s] * reader.get(table.bits[s]);
          std::memcpy(expected.data() + i * width, &element, width);
        }
        for (const Kernels* kernels : all_kernels()) {
          Shifted in(fields, size % 64);
          std::vector<std::uint8_t> out(size * width);
          REQUIRE(kernels->bins.read(&table, symbols.data(), size, width, in.data(),
                                     in.data() + fields.size(), out.data()));
          REQUIRE(out == expected);
        }
      }
    }
  }
}

TEST_CASE("steps that pass the largest element of a type") {
  const Case one{"wraps", DType::kInt8, {0, 3, {{-128, 7}, {0, 7}}, {}, true}};
  std::vector<std::uint8_t> elements;
  for (int value = -126; value <= 126; value += 3) {
    elements.push_back(static_cast<std::uint8_t>(value));
  }
  for (const Kernels* kernels : all_kernels()) {
    const Written written = write_with(*kernels, one, elements.data(), elements.size());
    CHECK(written.bits == 7 * elements.size());
    CHECK(joined(one, written) == elements);
  }
}

TEST_CASE("bins that no encoder may use") {
  const auto refused = [](const Bins& bins, DType dtype) {
    CHECK_THROWS_AS(bin_finder(bins, dtype, 0), CorruptFrameError);
  };
  refused({0, 1, {{0, 9}}, {}, true}, DType::kInt8);    // fields wider than elements
  refused({0, 1, {{0, 63}}, {}, true}, DType::kInt32);  //
  Bins many;
  many.has_escape = true;
  for (std::int64_t i = 0; i < 255; ++i) many.singles.push_back(i);
  refused(many, DType::kInt32);  // no number is left to mark cells
}

TEST_CASE("the elements other than a value") {
  std::mt19937_64 random(4);
  for (const DType dtype : kDTypes) {
    const std::size_t width = item_size(dtype);
    for (const std::size_t size : sizes_to_try()) {
      const std::uint64_t value = random();
      std::vector<std::uint8_t> elements(size * width);
      std::vector<std::uint32_t> expected;
      const unsigned one_in = 1 + static_cast<unsigned>(size % 9);
      for (std::size_t i = 0; i < size; ++i) {
        std::uint64_t element = value;
        if (random() % one_in == 0) element ^= std::uint64_t{1} << random() % (8 * width);
        std::memcpy(elements.data() + i * width, &element, width);
        if (element != value) expected.push_back(static_cast<std::uint32_t>(i));
      }
      for (const Kernels* kernels : all_kernels()) {
        Shifted in(elements, size % 64);
        std::vector<std::uint32_t> places(size + 8);
        places.resize(kernels->bins.find_others(in.data(), size, width, value, places.data()));
        REQUIRE(places == expected);
      }
    }
  }
}
