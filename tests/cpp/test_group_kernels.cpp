#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "all_kernels.hpp"
#include "random.hpp"
#include "shifted.hpp"

using namespace gradwire;

TEST_CASE("the groups of the bytes of blocks") {
  std::mt19937_64 random(5);
  for (const std::size_t size : sizes_to_try()) {
    ByteGroups groups{};
    for (std::int8_t& first : groups.first) first = static_cast<std::int8_t>(random());
    groups.first[0] = -128;
    if (size % 2 == 0) groups.first[1] = -128;  // so that group 0 is empty
    std::sort(groups.first, groups.first + kByteGroups);
    const auto group_of = [&](std::uint8_t byte) {
      const auto* const after = std::upper_bound(groups.first, groups.first + kByteGroups,
                                                 static_cast<std::int8_t>(byte));
      return after - groups.first - 1;
    };
    // Blocks of one byte alone have the largest counts.
    const auto data = size % 3 == 0 ? std::vector<std::uint8_t>(size, 77)
                                    : skewed_bytes(size, size % 3 == 1 ? 0.9 : 0.99, 6);
    const std::size_t blocks = (size + kBlockSize - 1) / kBlockSize;
    for (const Kernels* kernels : all_kernels()) {
      Shifted in(data, size % 64);
      std::vector<BlockGroups> counts(blocks);
      kernels->tokens.block_groups(&groups, in.data(), size, counts.data());
      for (std::size_t b = 0; b < blocks; ++b) {
        std::uint16_t expected[kByteGroups] = {};
        for (std::size_t i = b * kBlockSize; i < std::min(size, (b + 1) * kBlockSize); ++i) {
          ++expected[group_of(data[i])];
        }
        REQUIRE(std::equal(expected, expected + kByteGroups, counts[b].count));
      }
    }
  }
}

TEST_CASE("the cheapest class by groups, and the lower one of two equals") {
  std::mt19937 random(7);
  const auto below = [&](std::uint32_t end) { return static_cast<std::int32_t>(random() % end); };
  for (int round = 0; round < 300; ++round) {
    GroupCosts costs{};
    const std::uint32_t range = round % 2 == 0 ? kMostCost + 1 : 2;  // few costs: many are equal
    costs.size = 1 + static_cast<std::size_t>(below(kMaxClasses));
    for (std::size_t k = 0; k < costs.size; ++k) {
      costs.label[k] = below(5) == 0 ? 1 << 24 : below(range);
      for (auto& row : costs.part) row[k] = below(range);
    }
    std::vector<BlockGroups> counts(static_cast<std::size_t>(round % 40));
    for (BlockGroups& block : counts) {
      std::int32_t left = kBlockSize;
      for (std::size_t g = 0; g < kByteGroups; ++g) {
        const std::int32_t count = g + 1 < kByteGroups && below(3) > 0 ? below(left + 1) : left;
        block.count[g] = static_cast<std::uint16_t>(count);
        left -= count;
      }
    }
    std::vector<std::uint8_t> expected;
    for (const BlockGroups& block : counts) {
      std::vector<std::int64_t> all;
      for (std::size_t k = 0; k < costs.size; ++k) {
        std::int64_t cost = costs.label[k];
        for (std::size_t g = 0; g < kByteGroups; ++g) cost += block.count[g] * costs.part[g][k];
        all.push_back(cost);
      }
      expected.push_back(
          static_cast<std::uint8_t>(std::min_element(all.begin(), all.end()) - all.begin()));
    }
    for (const Kernels* kernels : all_kernels()) {
      std::vector<std::uint8_t> classes(counts.size());
      kernels->tokens.cheapest_by_groups(&costs, counts.data(), counts.size(), classes.data());
      CHECK(classes == expected);
    }
  }
}
