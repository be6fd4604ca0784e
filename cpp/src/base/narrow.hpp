#pragma once

#include <algorithm>
#include <cstdint>

#include "base/elements.hpp"

namespace gradwire {

/// Calls f(bytes, size) with the lowest byte of each element, block by block. Elements of one byte
/// are not copied.
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
    kernels().bytes.narrow(part.data, part.count, part.width(), 0, block);
    f(block, part.count);
  }
}

/// Widens bytes to elements: each becomes the only value with this lowest byte whose key lies in
/// [smallest, smallest + 255].
inline void widen(const std::uint8_t* bytes, std::size_t count, std::uint64_t smallest, DType dtype,
                  std::uint8_t* out) {
  const std::uint64_t base = from_key(smallest, dtype);
  kernels().bytes.widen(bytes, count, static_cast<std::uint8_t>(base), base, item_size(dtype), out);
}

}  // namespace gradwire
