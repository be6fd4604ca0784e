#include "prefix/key_index.hpp"

#include <doctest/doctest.h>

#include <cstring>
#include <map>
#include <vector>

#include "base/elements.hpp"
#include "prefix/value_counts.hpp"
#include "random.hpp"

using namespace gradwire;

namespace {

ChunkedArray chunked(const std::vector<std::uint64_t>& elements, DType dtype, int threads) {
  const std::uint64_t size = elements.size();
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(elements.data());
  return {{bytes, elements.size(), dtype}, {0, size / 3, size / 2, size}, threads};
}

}  // namespace

TEST_CASE("keys are found in tables and in maps, and no others") {
  for (const std::uint64_t step : {1ull, 3ull, 60'000ull, 1ull << 50}) {
    std::vector<Symbol> symbols;
    for (std::uint64_t i = 0; i < 100; ++i) symbols.push_back({7 + i * step, 1 + i % 4 / 3});
    const KeyIndex index(symbols);
    for (std::uint64_t i = 0; i < 100; ++i) {
      CHECK(index.find(7 + i * step) == (i % 4 == 3 ? KeyIndex::kNone : i));
    }
    CHECK(index.find(6) == KeyIndex::kNone);
    CHECK(index.find(7 + 100 * step) == KeyIndex::kNone);
    CHECK(index.find(~std::uint64_t{0}) == KeyIndex::kNone);
  }
  CHECK(KeyIndex().find(0) == KeyIndex::kNone);
}

TEST_CASE("values are counted alike in tables and in maps") {
  for (const std::uint64_t step : {1ull, 300ull, 1ull << 40}) {
    std::vector<std::uint64_t> elements(20'000);
    std::map<std::uint64_t, std::uint64_t> wanted;
    for (std::size_t i = 0; i < elements.size(); ++i) {
      elements[i] = 5 + step * (i * i / 7 % 1000);
      ++wanted[elements[i]];
    }
    for (const int threads : {1, 2, 5}) {
      const auto counts = count_values(chunked(elements, DType::kUInt64, threads));
      REQUIRE(counts);
      REQUIRE(counts->size() == wanted.size());
      auto next = wanted.begin();
      for (const ValueCount& value : *counts) {
        CHECK(value.key == next->first);
        CHECK(value.count == next++->second);
      }
    }
  }
}

TEST_CASE("too many values have no histogram") {
  for (const std::uint64_t step : {1ull, 3ull, 1ull << 40}) {
    std::vector<std::uint64_t> elements(kMaxSymbols + 1);
    for (std::size_t i = 0; i < elements.size(); ++i) elements[i] = step * i;
    CHECK_FALSE(count_values(chunked(elements, DType::kUInt64, 2)));
    elements.pop_back();
    CHECK(count_values(chunked(elements, DType::kUInt64, 2))->size() == kMaxSymbols);
  }
}

TEST_CASE("runs end where the first different element is") {
  for (const DType dtype : {DType::kUInt8, DType::kInt16, DType::kInt32, DType::kInt64}) {
    const std::size_t width = item_size(dtype);
    for (const std::size_t count : {1u, 2u, 4096u, 4097u, 20'000u}) {
      for (const std::size_t changed : {std::size_t{1}, count / 2, count - 1, count}) {
        std::vector<std::uint8_t> bytes((count + 1) * width, 9);
        bytes[changed * width + width - 1] = 1;
        const Elements elements{bytes.data(), count, dtype};
        const std::size_t end = changed == 0 ? 1 : changed;
        CHECK(run_end(elements, 0) == (changed == 0 && count > 1 ? 1 : end));
        if (changed + 1 < count) CHECK(run_end(elements, changed + 1) == count);
      }
    }
  }
}
