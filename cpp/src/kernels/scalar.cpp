#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.hpp"

namespace gradwire {
namespace {

#include "portable.inc"

size_t scalar_run_starts(const uint8_t* data, size_t count, size_t width, uint32_t* starts) {
  if (count == 0) return 0;
  starts[0] = 0;
  return run_starts_from(data, 1, count, width, starts, 1);
}

void scalar_block_signs(const uint8_t* data, size_t size, BlockSigns* signs) {
  for (size_t i = 0; i < size; i += kBlockSize, ++signs) {
    *signs = {};
    count_signs(data + i, size - i < kBlockSize ? size - i : kBlockSize, *signs);
  }
}

size_t scalar_nonzeros(const uint8_t* data, size_t size, uint16_t* places) {
  return nonzeros_from(data, 0, size, places, 0);
}

TokenCounts scalar_tokenize(const TokenTable* table, const uint8_t* data, size_t size,
                            uint8_t* tokens, uint32_t* unknown) {
  return tokenize_with(scalar_nonzeros, *table, data, size, tokens, unknown);
}

struct CrcTables {
  uint32_t t[8][256];
};

constexpr CrcTables make_crc_tables() {
  CrcTables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) ? (crc >> 1) ^ 0x82F63B78 : crc >> 1;
    tables.t[0][i] = crc;
  }
  for (uint32_t k = 1; k < 8; ++k) {
    for (uint32_t i = 0; i < 256; ++i) {
      const uint32_t before = tables.t[k - 1][i];
      tables.t[k][i] = (before >> 8) ^ tables.t[0][before & 255];
    }
  }
  return tables;
}

constexpr CrcTables kCrc = make_crc_tables();

uint32_t scalar_crc32c(uint32_t crc, const uint8_t* data, size_t size) {
  crc = ~crc;
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    const uint64_t v = load64(data + i) ^ crc;
    crc = 0;
    for (unsigned k = 0; k < 8; ++k) crc ^= kCrc.t[7 - k][(v >> (8 * k)) & 255];
  }
  for (; i < size; ++i) crc = (crc >> 8) ^ kCrc.t[0][(crc ^ data[i]) & 255];
  return ~crc;
}

}  // namespace

const Kernels kScalarKernels = {
    "scalar",
    count_bytes,
    portable_find_outside,
    scalar_crc32c,
    scalar_run_starts,
    portable_encode_bytes,
    portable_decode_bytes,
    scalar_block_signs,
    portable_cheapest_classes,
    scalar_tokenize,
    portable_expand,
};

}  // namespace gradwire
