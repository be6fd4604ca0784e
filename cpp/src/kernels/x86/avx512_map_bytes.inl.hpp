#pragma once

// Maps of bytes.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../byte_kernels.hpp"
#include "../generic/byte_sets.inl.hpp"
#include "../kernels.hpp"
#include "avx512_memory.inl.hpp"

namespace gradwire {
namespace {

// One or two rows of 16 entries take fewer instructions with AVX2.
void avx512_map_bytes(const ByteMap* map, const uint8_t* in, size_t size, uint8_t* out) {
  if (map->rows <= 2) return kAvx2Kernels.bytes.map_bytes(map, in, size, out);
  const __m512i table[4] = {load512(map->to), load512(map->to + 64), load512(map->to + 128),
                            load512(map->to + 192)};
  size_t i = 0;
  for (; i + 64 <= size; i += 64) {
    store512(out + i, looked_up_in(table, load512(in + i)));
  }
  generic_map_bytes(map, in + i, size - i, out + i);
}

}  // namespace
}  // namespace gradwire
