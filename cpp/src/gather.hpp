#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/kernels.hpp"

namespace gradwire {

/// memcpy, but in small steps: compilers turn one of unknown size into a slow instruction.
inline void copy_block(const std::uint8_t* block, std::size_t size, std::uint8_t* out) {
  constexpr std::size_t kStep = 64;
  std::size_t i = 0;
  for (; i + kStep <= size; i += kStep) std::memcpy(out + i, block + i, kStep);
  std::memcpy(out + i, block + i, size - i);
}

/// Writes numbered blocks close together; `numbers` is not null.
inline void gather(const Blocks& blocks, std::uint8_t* out) {
  for (std::size_t i = 0; i < blocks.size; i += kBlockSize) {
    const std::uint8_t* const block = blocks.data + blocks.numbers[i / kBlockSize] * kBlockSize;
    copy_block(block, std::min(kBlockSize, blocks.size - i), out + i);
  }
}

}  // namespace gradwire
