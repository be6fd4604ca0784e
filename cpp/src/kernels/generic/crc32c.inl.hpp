#pragma once

// CRC-32C with look-up tables.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "memory.inl.hpp"

namespace gradwire {
namespace {

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

uint32_t crc_of_eight(uint32_t crc, uint64_t bytes) {
  bytes ^= crc;
  crc = 0;
  for (unsigned k = 0; k < 8; ++k) crc ^= kCrc.t[7 - k][(bytes >> (8 * k)) & 255];
  return crc;
}

// Why is this fast? Modulo the checksum's polynomial, x^209 = x^144 + x^54 + x^39 + x^14 + 1.
// Squared six times, this holds for powers of x^64 too, that is, for whole words of 64 bits. So a
// word can be left out if it is added to the words 65, 155, 170, 195 and 209 places after it: five
// additions (XOR) per word and no table, for all but the last 209 words. With the scalar kernels,
// huffman codes qsgd4 1.2 times as fast.
constexpr size_t kFoldLags[] = {65, 155, 170, 195, 209};
constexpr size_t kFolded = 209;

// Consumes whole words, at least kFolded of them, and advances `*data` and `*size` past them. There
// must be that many. Returns the CRC so far.
uint32_t fold_crc(uint32_t crc, const uint8_t** data, size_t* size) {
  constexpr size_t kStep = 512;
  uint64_t words[kFolded + kStep] = {crc};  // is added to the first word only
  const uint8_t* in = *data;
  size_t left = *size / 8;
  for (; left >= kStep + kFolded; left -= kStep, in += 8 * kStep) {
    for (size_t i = kFolded; i < kFolded + kStep; ++i) {
      uint64_t sum = load64(in + 8 * (i - kFolded));
      for (const size_t lag : kFoldLags) sum ^= words[i - lag];
      words[i] = sum;
    }
    memmove(words, words + kStep, 8 * kFolded);
  }
  crc = 0;
  for (size_t i = 0; i < kFolded; ++i, in += 8) {
    uint64_t sum = load64(in);
    for (const size_t lag : kFoldLags) sum ^= i < lag ? words[kFolded + i - lag] : 0;
    crc = crc_of_eight(crc, sum);
  }
  *size -= static_cast<size_t>(in - *data);
  *data = in;
  return crc;
}

uint32_t generic_crc32c(uint32_t crc, const uint8_t* data, size_t size) {
  constexpr size_t kWorthFolding = 8192;
  static_assert(kWorthFolding >= 8 * kFolded);
  crc = ~crc;
  if (size >= kWorthFolding) crc = fold_crc(crc, &data, &size);
  for (; size >= 8; data += 8, size -= 8) crc = crc_of_eight(crc, load64(data));
  for (; size > 0; ++data, --size) crc = (crc >> 8) ^ kCrc.t[0][(crc ^ *data) & 255];
  return ~crc;
}

}  // namespace
}  // namespace gradwire
