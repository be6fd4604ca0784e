#pragma once

// Operations on the bits of words, and streams of bits.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../pivot_kernels.hpp"
#include "memory.inl.hpp"

namespace gradwire {
namespace {

uint64_t first_ones(size_t count) { return count < 64 ? (uint64_t{1} << count) - 1 : ~uint64_t{0}; }

unsigned count_ones(uint64_t word) {
#ifdef __POPCNT__
  return static_cast<unsigned>(__builtin_popcountll(word));
#else
  word -= word >> 1 & 0x5555555555555555;
  word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
  word = (word + (word >> 4)) & 0x0F0F0F0F0F0F0F0F;
  return static_cast<unsigned>(word * 0x0101010101010101 >> 56);
#endif
}

// Packs the bits of `bits` at which `mask` is 1 into the lowest places; deposit_bits() is the
// inverse.
uint64_t extract_bits(uint64_t bits, uint64_t mask) {
  uint64_t result = 0;
  for (unsigned k = 0; mask != 0; mask &= mask - 1, ++k) {
    result |= (bits >> __builtin_ctzll(mask) & 1) << k;
  }
  return result;
}

uint64_t deposit_bits(uint64_t bits, uint64_t mask) {
  uint64_t result = 0;
  for (; mask != 0; mask &= mask - 1, bits >>= 1) result |= mask & -mask & -(bits & 1);
  return result;
}

// Writes 64 bits; the number of waiting bits does not change.
void put_word(PivotWriter& writer, uint64_t bits) {
  store64(writer.out, writer.bits | bits << writer.count);
  writer.bits = bits >> 1 >> (63 - writer.count);
  writer.out += 8;
}

// Writes the lowest `count` bits, up to 64; all bits above them must be 0.
void put(PivotWriter& writer, uint64_t bits, unsigned count) {
  const uint64_t waiting = writer.bits | bits << writer.count;
  const uint64_t rest = bits >> 1 >> (63 - writer.count);
  store64(writer.out, waiting);
  writer.count += count;
  const bool full = writer.count >= 64;
  writer.bits = full ? rest : waiting;
  writer.out += full ? 8 : 0;
  writer.count &= 63;
}

// Reads the next `count` bits, up to 64. The bits of the result above them may have any value.
uint64_t take(PivotReader& reader, unsigned count) {
  const uint8_t* const p = reader.in + (reader.position >> 3);
  const unsigned shift = reader.position & 7;
  reader.position += count;
  if (reader.readable_end - p < 9) return load_until(p, reader.readable_end) >> shift;
  const uint64_t bits = load64(p) >> shift;
  return count <= 56 ? bits : bits | uint64_t{p[8]} << 1 << (63 - shift);
}

}  // namespace
}  // namespace gradwire
