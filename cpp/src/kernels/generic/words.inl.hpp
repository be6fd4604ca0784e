#pragma once

// Operations on 64 bytes with a bit for each byte, eight bytes at a time; see pivot.inl.hpp.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "bits.inl.hpp"
#include "memory.inl.hpp"

namespace gradwire {
namespace {

// Indexed by an 8-bit mask: eight bytes, one for each bit, that are 0 or 1.
struct SpreadTable {
  uint64_t ones[256];
};

constexpr SpreadTable make_spread_table() {
  SpreadTable table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    for (unsigned i = 0; i < 8; ++i) table.ones[mask] |= uint64_t{mask >> i & 1} << (8 * i);
  }
  return table;
}

constexpr SpreadTable kSpread = make_spread_table();

struct GenericWords {
  static constexpr uint64_t kOnes = 0x0101010101010101;
  static constexpr uint64_t kHighest = 0x8080808080808080;

  // The highest bits of eight bytes; the multiplication collects them in the top byte.
  static uint64_t high_bits(uint64_t v) { return ((v & kHighest) >> 7) * 0x0102040810204080 >> 56; }
  template <typename F>
  static uint64_t for_each_eight(const uint8_t* bytes, const F& f) {
    uint64_t bits = 0;
    for (unsigned k = 0; k < 8; ++k) bits |= high_bits(f(load64(bytes + 8 * k))) << (8 * k);
    return bits;
  }
  // Compares the lower 7 bits of the bytes first: with the highest bit set, no byte borrows from
  // the next one in the subtraction.
  static uint64_t at_least(const uint8_t* bytes, uint8_t least) {
    const uint64_t other = least * kOnes;
    return for_each_eight(bytes, [=](uint64_t v) {
      const uint64_t low = (v | kHighest) - (other & ~kHighest);
      return (v & ~other) | (~(v ^ other) & low);
    });
  }
  static uint64_t bit(const uint8_t* bytes, uint8_t first, unsigned bit) {
    const uint64_t other = (256u - first) % 256u * kOnes;
    return for_each_eight(bytes, [=](uint64_t v) { return add_bytes(v, other) << (7 - bit); });
  }

  static uint64_t extract(uint64_t bits, uint64_t mask) { return extract_bits(bits, mask); }
  static uint64_t deposit(uint64_t bits, uint64_t mask) { return deposit_bits(bits, mask); }

  static uint64_t add_bytes(uint64_t a, uint64_t b) {
    return ((a & ~kHighest) + (b & ~kHighest)) ^ ((a ^ b) & kHighest);
  }
  using Vector = uint64_t;
  static constexpr size_t kStep = 8;
  static uint64_t all(uint8_t byte) { return byte * kOnes; }
  static uint64_t load(const uint8_t* p) { return load64(p); }
  static void store(uint8_t* p, uint64_t v) { store64(p, v); }
  static uint64_t add(uint64_t a, uint64_t b) { return add_bytes(a, b); }
  // `delta` where a bit of the mask at `p` is 1, and 0 elsewhere.
  static uint64_t where(const uint8_t* p, uint64_t delta) {
    return kSpread.ones[*p] * (delta & 255);
  }

  // Moving is never too expensive: extracting bits one at a time costs more.
  static constexpr unsigned kMoveCost = 0;
  static void gather(const uint8_t* bytes, uint64_t mask, uint8_t* out) {
    for (; mask != 0; mask &= mask - 1) *out++ = bytes[__builtin_ctzll(mask)];
  }
  static void scatter_add(const uint8_t* list, uint64_t mask, uint8_t* bytes) {
    for (; mask != 0; mask &= mask - 1) {
      uint8_t& byte = bytes[__builtin_ctzll(mask)];
      byte = static_cast<uint8_t>(byte + *list++);
    }
  }
};

}  // namespace
}  // namespace gradwire
