#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "all_kernels.hpp"
#include "base/byte_tables.hpp"
#include "random.hpp"

using namespace gradwire;

TEST_CASE("block signs") {
  for (const Kernels* kernels : all_kernels()) {
    for (const std::size_t size : {1u, 255u, 256u, 257u, 70001u}) {
      const auto data = skewed_bytes(size, 0.9, 5);
      std::vector<BlockSigns> signs((size + kBlockSize - 1) / kBlockSize);
      kernels->tokens.block_signs(data.data(), data.size(), signs.data());
      for (std::size_t b = 0; b < signs.size(); ++b) {
        unsigned negative = 0;
        unsigned positive = 0;
        for (std::size_t i = b * kBlockSize; i < size && i < (b + 1) * kBlockSize; ++i) {
          negative += static_cast<std::int8_t>(data[i]) < 0;
          positive += static_cast<std::int8_t>(data[i]) > 0;
        }
        CHECK(signs[b].negative == negative);
        CHECK(signs[b].positive == positive);
      }
    }
  }
}

TEST_CASE("the cheapest class, and the lower one of two equals") {
  ClassCosts costs{};
  costs.size = 8;
  std::fill_n(costs.label, costs.size, 1 << 24);
  for (const int k : {2, 5, 7}) costs.label[k] = 100;
  costs.negative[7] = 1;  // class 7 costs more than class 5 for negative bytes only
  costs.positive[2] = 1;
  const BlockSigns signs[] = {{0, 0}, {0, 9}, {9, 0}, {9, 9}};
  for (const Kernels* kernels : all_kernels()) {
    std::uint8_t classes[4];
    kernels->tokens.cheapest_classes(&costs, signs, 4, classes);
    CHECK(classes[0] == 2);
    CHECK(classes[1] == 5);
    CHECK(classes[2] == 2);
    CHECK(classes[3] == 5);
  }
}

TEST_CASE("all kernels find the same classes") {
  std::mt19937 random(6);
  const auto below = [&](std::uint32_t end) { return static_cast<std::int32_t>(random() % end); };
  for (int round = 0; round < 200; ++round) {
    ClassCosts costs{};
    const std::uint32_t range = round % 2 == 0 ? kMostCost + 1 : 3;  // few costs: many are equal
    costs.size = 1 + static_cast<std::size_t>(below(kMaxClasses));
    for (std::size_t k = 0; k < costs.size; ++k) {
      costs.label[k] = below(5) == 0 ? 1 << 24 : below(range);
      costs.negative[k] = below(range);
      costs.zero[k] = below(range);
      costs.positive[k] = below(range);
    }
    std::vector<BlockSigns> signs(21);
    for (BlockSigns& block : signs) {
      block.negative = static_cast<std::uint16_t>(below(4) == 0 ? kBlockSize : below(kBlockSize));
      block.positive = static_cast<std::uint16_t>(below(kBlockSize + 1 - block.negative));
    }
    std::vector<std::uint8_t> expected(signs.size());
    kScalarKernels.tokens.cheapest_classes(&costs, signs.data(), signs.size(), expected.data());
    for (const Kernels* kernels : all_kernels()) {
      std::vector<std::uint8_t> classes(signs.size());
      kernels->tokens.cheapest_classes(&costs, signs.data(), signs.size(), classes.data());
      CHECK(classes == expected);
    }
  }
}

namespace {

/// Tokens of the bytes 1 to 3, with 0 to 4 zeros before them, and of 5 zeros.
struct Tokens {
  Tokens() {
    std::fill_n(table.first, 256, kNoToken);
    table.max_zeros = 5;
    table.zeros = 15;
    expand.entry[15] = 4 << 8 | 5 << 16;
    const std::vector<std::uint8_t> bytes = {1, 2, 3};
    table.known = byte_set(bytes);
    set_rows(table.firsts, bytes);
    for (std::uint32_t byte = 1; byte <= 3; ++byte) {
      table.first[byte] = static_cast<std::uint16_t>(5 * (byte - 1));
      table.firsts.to[byte] = static_cast<std::uint8_t>(table.first[byte]);
      for (std::uint32_t zeros = 0; zeros < 5; ++zeros) {
        expand.entry[5 * (byte - 1) + zeros] = byte | zeros << 8 | (zeros + 1) << 16;
      }
    }
  }
  TokenTable table{};
  ExpandTable expand{};
};

}  // namespace

namespace {

using TokensAndUnknown = std::pair<std::vector<std::uint8_t>, std::vector<std::uint32_t>>;

TokensAndUnknown tokens_of(const Kernels& kernels, const TokenTable& table, const Blocks& blocks) {
  TokensAndUnknown found{std::vector<std::uint8_t>(blocks.size + kSpareTokens),
                         std::vector<std::uint32_t>(blocks.size)};
  const TokenCounts counts =
      kernels.tokens.tokenize(&table, &blocks, found.first.data(), found.second.data());
  found.first.resize(counts.tokens);
  found.second.resize(counts.unknown);
  return found;
}

}  // namespace

TEST_CASE("tokens there and back") {
  const Tokens code;
  for (const Kernels* kernels : all_kernels()) {
    for (const double factor : {0.9, 0.5, 0.05}) {
      for (const std::size_t size : {1u, 63u, 64u, 4096u, 4097u, 70001u}) {
        auto data = skewed_bytes(size, factor, 7);
        for (auto& byte : data) byte &= 3;
        const Blocks blocks{data.data(), nullptr, size};
        const auto [tokens, unknown] = tokens_of(*kernels, code.table, blocks);
        CHECK(unknown.empty());
        CHECK(tokens == tokens_of(kScalarKernels, code.table, blocks).first);
        std::vector<std::uint8_t> back(size, 255);
        const OutBlocks out{back.data(), nullptr, size};
        CHECK(kernels->tokens.expand(&code.expand, tokens.data(), tokens.size(), &out));
        CHECK(back == data);
        CHECK_FALSE(kernels->tokens.expand(&code.expand, tokens.data(), tokens.size() - 1, &out));
      }
    }
  }
}

TEST_CASE("tokens of some blocks") {
  const Tokens code;
  const std::size_t size = 40 * kBlockSize + 7;
  const std::vector<std::uint32_t> numbers = {3,  0,  4,  5,  5,  9,  17, 18, 19, 20,
                                              21, 22, 23, 24, 25, 26, 27, 28, 31, 40};
  for (const double factor : {0.9, 0.5, 0.05}) {
    auto data = skewed_bytes(size, factor, 8);
    for (std::size_t i = 0; i < size; ++i)
      data[i] = i % 501 == 0 ? 77 : data[i] & 3;  // 77: unknown
    std::vector<std::uint8_t> chosen;
    for (const std::size_t b : numbers) {
      const auto begin = data.begin() + static_cast<std::ptrdiff_t>(b * kBlockSize);
      chosen.insert(chosen.end(), begin, b == 40 ? data.end() : begin + kBlockSize);
    }
    const Blocks blocks{data.data(), numbers.data(), chosen.size()};
    const Blocks in_line{chosen.data(), nullptr, chosen.size()};
    const auto [tokens, unknown] = tokens_of(kScalarKernels, code.table, in_line);
    CHECK(unknown.size() >= chosen.size() / 501);
    for (const Kernels* kernels : all_kernels()) {
      CHECK(tokens_of(*kernels, code.table, blocks) == std::pair(tokens, unknown));
      CHECK(tokens_of(*kernels, code.table, in_line) == std::pair(tokens, unknown));
    }
  }
}

TEST_CASE("tokens back to their blocks, which lie anywhere") {
  const Tokens code;
  const std::size_t size = 12 * kBlockSize + 7;
  const std::vector<std::uint32_t> numbers = {1, 3, 4, 6, 8, 9, 12};
  for (const double factor : {0.9, 0.5, 0.05}) {
    auto data = skewed_bytes(size, factor, 11);
    for (auto& byte : data) byte &= 3;
    const Blocks blocks{data.data(), numbers.data(), 6 * kBlockSize + 7};
    const auto tokens = tokens_of(kScalarKernels, code.table, blocks).first;
    for (const Kernels* kernels : all_kernels()) {
      std::vector<std::uint8_t> back(size, 0);
      const OutBlocks out{back.data(), numbers.data(), blocks.size};
      CHECK(kernels->tokens.expand(&code.expand, tokens.data(), tokens.size(), &out));
      for (std::size_t b = 0; b <= 12; ++b) {
        const bool is_one = std::find(numbers.begin(), numbers.end(), b) != numbers.end();
        for (std::size_t i = b * kBlockSize; i < std::min(size, (b + 1) * kBlockSize); ++i) {
          REQUIRE(back[i] == (is_one ? data[i] : 0));
        }
      }
      CHECK_FALSE(kernels->tokens.expand(&code.expand, tokens.data(), tokens.size() - 1, &out));
    }
  }
}

TEST_CASE("tokens of any bytes, the same everywhere") {
  std::mt19937_64 random(9);
  for (const std::uint32_t max_zeros : {2u, 30u, 127u, 254u}) {
    for (const unsigned bytes : {1u, 3u, 20u}) {
      if (bytes * max_zeros >= 256) continue;
      std::vector<std::uint8_t> known;
      TokenTable table{};
      std::fill_n(table.first, 256, kNoToken);
      table.max_zeros = max_zeros;
      table.zeros = 255;
      while (known.size() < bytes) {  // anywhere in the alphabet
        const auto byte = static_cast<std::uint8_t>(1 + random() % 255);
        if (table.first[byte] != kNoToken) continue;
        table.first[byte] = static_cast<std::uint16_t>(known.size() * max_zeros);
        table.firsts.to[byte] = static_cast<std::uint8_t>(table.first[byte]);
        known.push_back(byte);
      }
      table.known = byte_set(known);
      set_rows(table.firsts, known);
      for (const unsigned one_in : {1u, 5u, 30u, 300u}) {
        std::vector<std::uint8_t> data(20000 + random() % kBlockSize);
        for (auto& byte : data) {
          const bool strange = random() % 50 == 0;
          if (random() % one_in == 0) byte = strange ? 255 : known[random() % bytes];
        }
        const Blocks blocks{data.data(), nullptr, data.size()};
        const auto expected = tokens_of(kScalarKernels, table, blocks);
        for (const Kernels* kernels : all_kernels()) {
          CHECK(tokens_of(*kernels, table, blocks) == expected);
        }
      }
    }
  }
}

TEST_CASE("bytes without a token pass for zeros") {
  const Tokens code;
  const std::vector<std::uint8_t> data = {0, 9, 1, 0, 0, 0, 0, 7, 2, 200};
  for (const Kernels* kernels : all_kernels()) {
    std::uint8_t tokens[10 + kSpareTokens];
    std::uint32_t unknown[10];
    const Blocks blocks{data.data(), nullptr, data.size()};
    const TokenCounts counts = kernels->tokens.tokenize(&code.table, &blocks, tokens, unknown);
    REQUIRE(counts.unknown == 3);
    CHECK(unknown[0] == 1);
    CHECK(unknown[1] == 7);
    CHECK(unknown[2] == 9);
    std::uint8_t back[10];
    const OutBlocks out{back, nullptr, 10};
    REQUIRE(kernels->tokens.expand(&code.expand, tokens, counts.tokens, &out));
    const std::vector<std::uint8_t> expected = {0, 0, 1, 0, 0, 0, 0, 0, 2, 0};
    CHECK(std::vector<std::uint8_t>(back, back + 10) == expected);
  }
}

TEST_CASE("tokens that do not fill their place are refused") {
  const Tokens code;
  const std::uint8_t tokens[] = {15, 15, 4};  // 5 zeros, 5 zeros, 4 zeros and 1
  for (const Kernels* kernels : all_kernels()) {
    std::uint8_t bytes[16];
    const auto fill = [&](std::size_t count, std::size_t size) {
      const OutBlocks out{bytes, nullptr, size};
      return kernels->tokens.expand(&code.expand, tokens, count, &out);
    };
    CHECK(fill(3, 15));
    CHECK_FALSE(fill(3, 14));  // a value passes the end
    CHECK_FALSE(fill(3, 16));  // too few
    CHECK(fill(2, 7));         // zeros may
    CHECK_FALSE(fill(2, 5));   // a token too many
  }
}
