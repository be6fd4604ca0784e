#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.hpp"

namespace gradwire {
namespace {

#include "portable.inc"

#include "floats.inc"

size_t scalar_run_starts(const uint8_t* data, size_t count, size_t width, uint16_t* starts) {
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

struct ScalarTokenSteps {
  static size_t find(const TokenWindow& window, size_t, NonZeros& nonzeros) {
    return nonzeros_from(window, 0, nonzeros, 0);
  }
  static size_t look_up(const TokenTable& table, NonZeros& nonzeros, size_t begin, size_t end) {
    for (; begin < end; ++begin) {
      const uint16_t first = table.first[nonzeros.value[begin]];
      if (first == kNoToken) break;
      nonzeros.first[begin] = static_cast<uint8_t>(first);
    }
    return begin;
  }
  static size_t run(const NonZeros&, size_t, size_t, size_t, uint8_t, uint8_t*&) { return 0; }
};

TokenCounts scalar_tokenize(const TokenTable* table, const Blocks* blocks, uint8_t* tokens,
                            uint32_t* unknown) {
  return tokenize_with<ScalarTokenSteps>(*table, *blocks, tokens, unknown);
}

// By an 8-bit mask: a byte for each bit, 0 or 1.
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

// 64 bytes and a bit for each, eight bytes at a time; see pivot.inc.
struct ScalarWords {
  static constexpr uint64_t kOnes = 0x0101010101010101;
  static constexpr uint64_t kHighest = 0x8080808080808080;

  // The highest bit of each byte.
  static uint64_t high_bits(uint64_t v) { return ((v & kHighest) >> 7) * 0x0102040810204080 >> 56; }
  template <typename F>
  static uint64_t for_each_eight(const uint8_t* bytes, const F& f) {
    uint64_t bits = 0;
    for (unsigned k = 0; k < 8; ++k) bits |= high_bits(f(load64(bytes + 8 * k))) << (8 * k);
    return bits;
  }
  // Bytes are compared without their highest bits first, so that none borrows from the next.
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

  static uint64_t extract(uint64_t bits, uint64_t mask) {
    uint64_t result = 0;
    for (unsigned k = 0; mask != 0; mask &= mask - 1, ++k) {
      result |= (bits >> __builtin_ctzll(mask) & 1) << k;
    }
    return result;
  }
  static uint64_t deposit(uint64_t bits, uint64_t mask) {
    uint64_t result = 0;
    for (; mask != 0; mask &= mask - 1, bits >>= 1) result |= mask & -mask & -(bits & 1);
    return result;
  }

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

  // Bits cost more to take apart than elements to move.
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

uint32_t crc_of_eight(uint32_t crc, const uint8_t* data) {
  const uint64_t v = load64(data) ^ crc;
  crc = 0;
  for (unsigned k = 0; k < 8; ++k) crc ^= kCrc.t[7 - k][(v >> (8 * k)) & 255];
  return crc;
}

// Three sums at once, because each step waits for the one before it.
uint32_t scalar_crc32c(uint32_t crc, const uint8_t* data, size_t size) {
  constexpr size_t kPart = 4096;
  constexpr uint32_t kOne = crc_power(8 * kPart);
  constexpr uint32_t kTwo = crc_power(16 * kPart);
  uint32_t a = ~crc;
  for (; size >= 3 * kPart; data += 3 * kPart, size -= 3 * kPart) {
    uint32_t b = 0;
    uint32_t c = 0;
    for (size_t i = 0; i < kPart; i += 8) {
      a = crc_of_eight(a, data + i);
      b = crc_of_eight(b, data + kPart + i);
      c = crc_of_eight(c, data + 2 * kPart + i);
    }
    a = crc_multiply(a, kTwo) ^ crc_multiply(b, kOne) ^ c;
  }
  for (; size >= 8; data += 8, size -= 8) a = crc_of_eight(a, data);
  for (; size > 0; ++data, --size) a = (a >> 8) ^ kCrc.t[0][(a ^ *data) & 255];
  return ~a;
}

}  // namespace

const Kernels kScalarKernels = {
    "scalar",
    false,
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
    portable_narrow,
    portable_widen,
    portable_range,
    portable_map_bytes,
    kPivotKernels<ScalarWords>,
    kFloatKernels<PortableFloatSteps>,
};

}  // namespace gradwire
