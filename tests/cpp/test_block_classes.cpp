#include <doctest/doctest.h>

#include <random>

#include "codecs/entropy/block_classes.hpp"

using namespace gradwire;

namespace {

/// `count` blocks for each number in `nonzeros`, each with about that many bytes that are not 0.
std::vector<BlockSigns> blocks_like(std::initializer_list<unsigned> nonzeros, std::size_t count) {
  std::mt19937 random(8);
  std::vector<BlockSigns> blocks;
  for (std::size_t b = 0; b < count; ++b) {
    for (const unsigned n : nonzeros) {
      const unsigned own = n == 0 ? 0 : n + static_cast<unsigned>(random() % 5);
      const auto negative = static_cast<std::uint16_t>(own / 2);
      blocks.push_back({negative, static_cast<std::uint16_t>(own - negative)});
    }
  }
  return blocks;
}

}  // namespace

TEST_CASE("blocks of different scales get classes, the most frequent one first") {
  const auto blocks = blocks_like({0, 0, 0, 20, 20, 120}, 40);
  const ClassCosts classes = fit_block_classes(blocks, 10);
  CHECK(classes.size >= 3);
  const auto numbers = assign_classes(classes, blocks);
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const auto* const own = &numbers[b / 6 * 6];
    CHECK(numbers[b] < classes.size);
    CHECK((numbers[b] == 0) == (b % 6 < 3));
    CHECK(own[3] != own[5]);
  }
}

TEST_CASE("equal blocks are one class") {
  CHECK(fit_block_classes(blocks_like({0}, kFewestBlocks), 1).size == 1);
  CHECK(fit_block_classes(blocks_like({30}, 200), 1).size == 1);
}
