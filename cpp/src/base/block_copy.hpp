#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/kernels.hpp"

namespace gradwire {

/// Like memcpy, but in steps of fixed size: compilers turn a memcpy of unknown size into a slow
/// instruction.
inline void copy_block(const std::uint8_t* block, std::size_t size, std::uint8_t* out) {
  constexpr std::size_t kStep = 64;
  std::size_t i = 0;
  for (; i + kStep <= size; i += kStep) std::memcpy(out + i, block + i, kStep);
  std::memcpy(out + i, block + i, size - i);
}

/// Copies numbered blocks to `out` without gaps; `blocks.numbers` must not be null.
inline void gather(const Blocks& blocks, std::uint8_t* out) {
  for (std::size_t i = 0; i < blocks.size; i += kBlockSize) {
    const std::uint8_t* const block = blocks.data + blocks.numbers[i / kBlockSize] * kBlockSize;
    copy_block(block, std::min(kBlockSize, blocks.size - i), out + i);
  }
}

/// The address of byte i of a sequence.
inline std::uint8_t* byte_at(const OutBlocks& out, std::size_t i) {
  const std::size_t b = i / kBlockSize;
  return out.data + (out.numbers != nullptr ? out.numbers[b] : b) * kBlockSize + i % kBlockSize;
}

/// The reverse of gather(): distributes contiguous bytes to the blocks of `out`.
inline void scatter(const std::uint8_t* bytes, const OutBlocks& out) {
  for (std::size_t i = 0; i < out.size; i += kBlockSize) {
    copy_block(bytes + i, std::min(kBlockSize, out.size - i), byte_at(out, i));
  }
}

}  // namespace gradwire
