#pragma once

#include <algorithm>
#include <cstdint>

#include "elements.hpp"

namespace gradwire {

/// Calls f(bytes, size) with the lowest byte of each element, block by block; bytes need no copy.
template <typename F>
void for_each_narrow_block(const Elements& elements, F&& f) {
  if (elements.width() == 1) {
    if (elements.count > 0) f(elements.data, elements.count);
    return;
  }
  constexpr std::size_t kBlock = 8192;
  std::uint8_t block[kBlock];
  with_width(elements.dtype, [&]<typename T>() {
    for (std::size_t begin = 0; begin < elements.count; begin += kBlock) {
      const std::size_t size = std::min(kBlock, elements.count - begin);
      for (std::size_t i = 0; i < size; ++i) {
        block[i] = static_cast<std::uint8_t>(load<T>(elements, begin + i));
      }
      f(block, size);
    }
  });
}

/// Widens bytes to elements: each is the one value in [smallest, smallest + 255], as keys go,
/// with this lowest byte.
template <typename T>
void widen(const std::uint8_t* bytes, std::size_t count, std::uint64_t smallest, DType dtype,
           std::uint8_t* out) {
  const std::uint8_t low = static_cast<std::uint8_t>(smallest);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t key = smallest + static_cast<std::uint8_t>(bytes[i] - low);
    const T bits = static_cast<T>(from_key(key, dtype));
    std::memcpy(out + i * sizeof(T), &bits, sizeof(T));
  }
}

}  // namespace gradwire
