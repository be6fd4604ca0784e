#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace gradwire {

/// Memory for one function call, without initial values. Each thread keeps blocks for later calls,
/// because fresh pages can take longer than the work on them. Calls may be nested.
class Scratch {
 public:
  explicit Scratch(std::size_t size) {
    Kept& kept = of_thread();
    if (kept.count > 0) block_ = std::move(kept.blocks[--kept.count]);
    if (block_.size >= size) return;
    block_ = {};  // frees it first
    block_ = {std::make_unique_for_overwrite<std::uint8_t[]>(size), size};
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    Kept& kept = of_thread();
    if (block_.size > kMostKept || kept.count == kept.blocks.size()) return;
    kept.blocks[kept.count++] = std::move(block_);
  }

  std::uint8_t* data() const { return block_.bytes.get(); }
  template <typename T>
  T* as() const {
    return reinterpret_cast<T*>(data());
  }

 private:
  static constexpr std::size_t kMostKept = std::size_t{16} << 20;  // bytes of a block

  struct Block {
    std::unique_ptr<std::uint8_t[]> bytes;
    std::size_t size = 0;
  };
  /// The block that was given back last is taken first, so that nested calls get theirs again.
  struct Kept {
    std::array<Block, 8> blocks;
    std::size_t count = 0;
  };
  static Kept& of_thread() {
    thread_local Kept kept;
    return kept;
  }

  Block block_;
};

}  // namespace gradwire
