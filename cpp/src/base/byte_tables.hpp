#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "kernels/kernels.hpp"

namespace gradwire {

inline ByteSet byte_set(std::span<const std::uint8_t> bytes) {
  ByteSet set{};
  for (const std::uint8_t byte : bytes) {
    std::uint8_t& row = set.rows[byte >> 7][byte & 15];
    row = static_cast<std::uint8_t>(row | 1u << (byte >> 4 & 7));
  }
  return set;
}

/// Records in the map which rows of 16 bytes are in use.
inline void set_rows(ByteMap& map, std::span<const std::uint8_t> used) {
  bool in_use[16] = {};
  for (const std::uint8_t byte : used) in_use[byte >> 4] = true;
  map.rows = 0;
  for (std::uint8_t row = 0; row < 16; ++row) {
    if (in_use[row]) map.row[map.rows++] = row;
  }
  std::fill(map.row + map.rows, map.row + 16, map.row[0]);
}

}  // namespace gradwire
