#include "prefix/symbol_map.hpp"

#include <doctest/doctest.h>

#include <bit>
#include <cstdint>
#include <functional>
#include <vector>

using namespace gradwire;

TEST_CASE("keys that differ in few bits are found in few steps") {
  const std::vector<std::function<Symbol(std::uint64_t)>> families = {
      [](std::uint64_t i) { return Symbol{i, 1}; },
      [](std::uint64_t i) { return Symbol{i << 47, 1}; },
      [](std::uint64_t i) { return Symbol{i << 49, 1}; },
      [](std::uint64_t i) { return Symbol{i * 0x9E3779B97F4A7C15, 1}; },
      [](std::uint64_t i) { return Symbol{i << 16 | i << 40, 1}; },
      [](std::uint64_t i) { return Symbol{std::bit_cast<std::uint64_t>(double(i)), 1}; },
      [](std::uint64_t i) { return Symbol{5, i}; },
      [](std::uint64_t i) { return Symbol{5, i << 47}; },
      [](std::uint64_t i) { return Symbol{i % 256 << 56, i / 256}; },
  };
  for (std::size_t f = 0; f < families.size(); ++f) {
    SymbolMap map;
    for (std::uint64_t i = 0; i < 32768; ++i) map[families[f](i)] = i;
    CAPTURE(f);
    CHECK(map.size() == 32768);
    CHECK(map.longest_search() < 64);  // 20 to 30 with random hashes
  }
}
