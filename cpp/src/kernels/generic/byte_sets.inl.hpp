#pragma once

// Sets and maps of bytes.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../byte_kernels.hpp"
#include "memory.inl.hpp"

namespace gradwire {
namespace {

bool is_in(const ByteSet& set, uint8_t byte) {
  return set.rows[byte >> 7][byte & 15] >> (byte >> 4 & 7) & 1;
}

size_t generic_find_outside(const ByteSet* set, const uint8_t* data, size_t size) {
  constexpr size_t kWorthATable = 1024;
  size_t i = 0;
  if (size >= kWorthATable) {
    uint8_t in[256];
    for (unsigned b = 0; b < 256; ++b) in[b] = is_in(*set, static_cast<uint8_t>(b));
    uint8_t all = 1;
    for (; all != 0 && i + 8 <= size; i += 8) {
      for (unsigned k = 0; k < 8; ++k) all &= in[data[i + k]];
    }
    if (all == 0) i -= 8;
  }
  while (i < size && is_in(*set, data[i])) ++i;
  return i;
}

void generic_map_bytes(const ByteMap* map, const uint8_t* in, size_t size, uint8_t* out) {
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    const uint64_t bytes = load64(in + i);
    uint64_t mapped = 0;
    for (unsigned k = 0; k < 8; ++k) {
      mapped |= uint64_t{map->to[bytes >> (8 * k) & 255]} << (8 * k);
    }
    store64(out + i, mapped);
  }
  for (; i < size; ++i) out[i] = map->to[in[i]];
}

}  // namespace
}  // namespace gradwire
