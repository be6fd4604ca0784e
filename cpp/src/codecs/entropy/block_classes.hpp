#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/kernels.hpp"

namespace gradwire {

// Blocks of kBlockSize bytes that look alike make a class, with a code of its own (FORMAT.md,
// section 5.5): gradients change their scale and their sign from row to row and layer to layer.

/// Fewer blocks than these are of one class.
inline constexpr std::size_t kFewestBlocks = 16;

/// Classes for arrays whose blocks are like these, kFewestBlocks or more, the most frequent one
/// first. `share`: how many blocks of the array each of them stands for.
ClassCosts fit_block_classes(std::span<const BlockSigns> blocks, double share);

/// The cheapest class of each block.
std::vector<std::uint8_t> assign_classes(const ClassCosts& costs,
                                         std::span<const BlockSigns> blocks);

/// The signs in each block of `bytes`.
std::vector<BlockSigns> block_signs(std::span<const std::uint8_t> bytes);

/// Bytes of block b of so many bytes.
constexpr std::size_t block_bytes(std::size_t b, std::size_t bytes) {
  const std::size_t left = bytes - b * kBlockSize;
  return left < kBlockSize ? left : kBlockSize;
}
constexpr std::size_t block_count(std::size_t bytes) {
  return (bytes + kBlockSize - 1) / kBlockSize;
}

/// Which blocks of a chunk belong to which class.
class ClassOrder {
 public:
  /// `classes`: below `class_count`, which is at most kMaxClasses. `bytes`: of all blocks; the last
  /// block may be shorter than the others.
  ClassOrder(std::vector<std::uint8_t> classes, std::size_t class_count, std::size_t bytes);

  std::span<const std::uint8_t> classes() const { return classes_; }
  /// Numbers of the blocks of class k, ascending: a short one is the last.
  std::span<const std::uint32_t> blocks(std::size_t k) const {
    return std::span(blocks_).subspan(first_[k], first_[k + 1] - first_[k]);
  }
  /// Bytes of these blocks.
  std::size_t size(std::size_t k) const;
  /// The same blocks of these bytes.
  Blocks blocks_of(const std::uint8_t* bytes, std::size_t k) const {
    return {bytes, blocks(k).data(), size(k)};
  }

 private:
  std::vector<std::uint8_t> classes_;
  std::vector<std::uint32_t> blocks_;  // class after class
  std::vector<std::uint32_t> first_;   // of each class in blocks_
  std::size_t bytes_;
};

}  // namespace gradwire
