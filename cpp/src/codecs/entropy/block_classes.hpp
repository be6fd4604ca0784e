#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/kernels.hpp"

namespace gradwire {

// Blocks of kBlockSize bytes that look alike form a class, and each class has a separate code
// (FORMAT.md, section 5.5): the scale and the signs of gradients change from row to row and from
// layer to layer.

/// Samples of fewer blocks than this get a single class.
inline constexpr std::size_t kFewestBlocks = 16;

/// Fits classes to arrays with blocks like these, of which there are at least kFewestBlocks. The
/// most frequent class comes first. `share`: how many blocks of the array each given block stands
/// for.
ClassCosts fit_block_classes(std::span<const BlockSigns> blocks, double share);

/// The same for blocks that are described by groups of bytes, of which `center` has the byte 0.
GroupCosts fit_block_classes(std::span<const BlockGroups> blocks, std::size_t center, double share);

/// The cheapest class of each block.
std::vector<std::uint8_t> assign_classes(const ClassCosts& costs,
                                         std::span<const BlockSigns> blocks);
std::vector<std::uint8_t> assign_classes(const GroupCosts& costs,
                                         std::span<const BlockGroups> blocks);

/// The signs in each block of `bytes`.
std::vector<BlockSigns> block_signs(std::span<const std::uint8_t> bytes);

/// Groups of neighboring bytes, taken as int8, that are about equally frequent.
ByteGroups even_groups(const std::array<std::uint64_t, 256>& histogram);
constexpr std::size_t group_of(const ByteGroups& groups, std::uint8_t byte) {
  std::size_t group = kByteGroups - 1;
  while (groups.first[group] > static_cast<std::int8_t>(byte)) --group;
  return group;
}

/// The groups in each block of `bytes`.
std::vector<BlockGroups> block_groups(const ByteGroups& groups,
                                      std::span<const std::uint8_t> bytes);

/// How encoders sort blocks into classes: by signs, or by groups if there are any.
struct BlockClasses {
  ClassCosts by_sign{};
  struct Groups {
    ByteGroups of_bytes;
    GroupCosts costs;
  };
  std::optional<Groups> groups;

  std::size_t size() const { return groups ? groups->costs.size : by_sign.size; }
};

/// Size in bytes of block b in a sequence of `bytes` bytes.
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
  /// `classes`: the class of each block, below `class_count`, which is at most kMaxClasses.
  /// `bytes`: total size of all blocks; the last block may be shorter than the others.
  ClassOrder(std::vector<std::uint8_t> classes, std::size_t class_count, std::size_t bytes);

  std::span<const std::uint8_t> classes() const { return classes_; }
  /// Numbers of the blocks of class k, ascending, so that a short block comes last.
  std::span<const std::uint32_t> blocks(std::size_t k) const {
    return std::span(blocks_).subspan(first_[k], first_[k + 1] - first_[k]);
  }
  /// Size in bytes of the blocks of class k.
  std::size_t size(std::size_t k) const;
  /// The blocks of class k in `bytes`.
  Blocks blocks_of(const std::uint8_t* bytes, std::size_t k) const {
    return {bytes, blocks(k).data(), size(k)};
  }

 private:
  std::vector<std::uint8_t> classes_;
  std::vector<std::uint32_t> blocks_;  // block numbers, class by class
  std::vector<std::uint32_t> first_;   // index in blocks_ of the first block of each class
  std::size_t bytes_;
};

}  // namespace gradwire
