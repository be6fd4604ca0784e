#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "elements.hpp"

namespace gradwire {

/// Calls f(bytes, size) with the lowest byte of each element, block by block; bytes need no copy.
template <typename F>
void for_each_narrow_block(const Elements& elements, F&& f) {
  if (elements.width() == 1) {
    if (elements.count > 0) f(elements.data, elements.count);
    return;
  }
  constexpr std::size_t kBlock = 32768;
  std::uint8_t block[kBlock];
  for (std::size_t begin = 0; begin < elements.count; begin += kBlock) {
    const Elements part = elements.slice(begin, std::min(begin + kBlock, elements.count));
    kernels().narrow(part.data, part.count, part.width(), 0, block);
    f(block, part.count);
  }
}

/// The lowest byte of each element of a chunk: the elements themselves, or in memory that a thread
/// keeps for its next chunk.
inline std::span<const std::uint8_t> lowest_bytes(const Elements& chunk) {
  if (chunk.width() == 1) return {chunk.data, chunk.count};
  thread_local std::vector<std::uint8_t> own;
  if (own.size() < chunk.count) own.resize(chunk.count);
  kernels().narrow(chunk.data, chunk.count, chunk.width(), 0, own.data());
  return {own.data(), chunk.count};
}

/// Widens bytes to elements: each is the one value in [smallest, smallest + 255], as keys go,
/// with this lowest byte.
inline void widen(const std::uint8_t* bytes, std::size_t count, std::uint64_t smallest, DType dtype,
                  std::uint8_t* out) {
  const std::uint64_t base = from_key(smallest, dtype);
  kernels().widen(bytes, count, static_cast<std::uint8_t>(base), base, item_size(dtype), out);
}

}  // namespace gradwire
