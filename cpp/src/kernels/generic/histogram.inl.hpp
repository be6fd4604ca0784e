#pragma once

// Counts how often each byte occurs.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "memory.inl.hpp"

namespace gradwire {
namespace {

// Uses several tables: in one table, the second of two equal bytes in a row would have to wait
// for the counter of the first.
template <typename Counter, unsigned Tables>
void count_block(const uint8_t* data, size_t size, uint64_t counts[256]) {
  Counter table[Tables][256] = {};
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    const uint64_t v = load64(data + i);
    for (unsigned k = 0; k < 8; ++k) ++table[k % Tables][(v >> (8 * k)) & 255];
  }
  for (; i < size; ++i) ++table[0][data[i]];
  for (unsigned k = 0; k < Tables; ++k) {
    for (unsigned s = 0; s < 256; ++s) counts[s] += table[k][s];
  }
}

void count_bytes(const uint8_t* data, size_t size, uint64_t counts[256]) {
  constexpr size_t kTiny = 256;
  constexpr size_t kSmall = 4096;
  constexpr size_t kBlock = size_t{1} << 30;  // a 32-bit counter cannot overflow
  if (size < kTiny) {
    for (size_t i = 0; i < size; ++i) ++counts[data[i]];
    return;
  }
  if (size < kSmall) return count_block<uint16_t, 4>(data, size, counts);
  for (; size > kBlock; data += kBlock, size -= kBlock) {
    count_block<uint32_t, 8>(data, kBlock, counts);
  }
  count_block<uint32_t, 8>(data, size, counts);
}

// 16 bytes: compilers keep them in one register even for the oldest processors they support.
typedef uint8_t Row __attribute__((vector_size(16)));
constexpr size_t kBlockRows = 255;  // rows of a block; more could overflow counters of one byte
constexpr size_t kFewValues = 3;

// Counts a block that has only the given values. Otherwise counts nothing and returns false.
bool count_few(const uint8_t* block, const uint8_t values[kFewValues], uint64_t counts[256]) {
  Row value[kFewValues];
  for (size_t v = 0; v < kFewValues; ++v) value[v] = Row{} + values[v];
  Row seen[kFewValues] = {};
  for (size_t i = 0; i < kBlockRows; ++i) {
    Row row;
    memcpy(&row, block + i * sizeof(Row), sizeof(Row));
    for (size_t v = 0; v < kFewValues; ++v) seen[v] -= static_cast<Row>(row == value[v]);
  }
  size_t count[kFewValues] = {};
  for (size_t v = 0; v < kFewValues; ++v) {
    for (size_t k = 0; k < sizeof(Row); ++k) count[v] += seen[v][k];
  }
  if (count[0] + count[1] + count[2] != kBlockRows * sizeof(Row)) return false;
  for (size_t v = 0; v < kFewValues; ++v) counts[values[v]] += count[v];
  return true;
}

// The first block shows which values to expect, and whether they are few enough for count_few().
void generic_histogram(const uint8_t* data, size_t size, uint64_t counts[256]) {
  constexpr size_t kBlock = kBlockRows * sizeof(Row);
  size_t i = 0;
  if (size >= 2 * kBlock) {
    uint64_t first[256] = {};
    count_bytes(data, kBlock, first);
    uint8_t values[256];
    size_t found = 0;
    size_t others = 256;
    for (unsigned byte = 0; byte < 256; ++byte) {
      values[first[byte] != 0 ? found++ : --others] = static_cast<uint8_t>(byte);
    }
    const bool few = found <= kFewValues;
    while (few && size - i >= kBlock && count_few(data + i, values, counts)) i += kBlock;
  }
  count_bytes(data + i, size - i, counts);
}

}  // namespace
}  // namespace gradwire
