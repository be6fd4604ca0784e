#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.hpp"

namespace gradwire {
namespace {

#include "portable.inc"

#include "floats.inc"

// Rows of bytes, which compilers keep in the registers of the least processor they build for.
typedef uint8_t Row __attribute__((vector_size(16)));
constexpr size_t kBlockRows = 255;  // a counter of one byte counts no further
constexpr size_t kFewValues = 3;

// False, and nothing counted, if a block has other values than these.
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

// The first block tells which values there may be, and whether they are few.
void scalar_histogram(const uint8_t* data, size_t size, uint64_t counts[256]) {
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
    return PortableByteSteps::extract(bits, mask);
  }
  static uint64_t deposit(uint64_t bits, uint64_t mask) {
    return PortableByteSteps::deposit(bits, mask);
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

uint32_t crc_of_eight(uint32_t crc, uint64_t bytes) {
  bytes ^= crc;
  crc = 0;
  for (unsigned k = 0; k < 8; ++k) crc ^= kCrc.t[7 - k][(bytes >> (8 * k)) & 255];
  return crc;
}

// Why is this fast? x^209 = x^144 + x^54 + x^39 + x^14 + 1 modulo the checksum's polynomial, and
// squared six times the same holds for powers of x^64. So a word may be left out when it is added
// to those 65, 155, 170, 195 and 209 places after it: five additions for 64 bits and no table, up
// to the last 209 words.
constexpr size_t kFoldLags[] = {65, 155, 170, 195, 209};
constexpr size_t kFolded = 209;

// Takes in whole words, kFolded or more, and moves `*data` and `*size` behind them. Returns the sum
// so far.
uint32_t fold_crc(uint32_t crc, const uint8_t** data, size_t* size) {
  constexpr size_t kStep = 512;
  uint64_t words[kFolded + kStep] = {crc};  // reaches the first word, and it alone
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

uint32_t scalar_crc32c(uint32_t crc, const uint8_t* data, size_t size) {
  constexpr size_t kWorthFolding = 8192;
  static_assert(kWorthFolding >= 8 * kFolded);
  crc = ~crc;
  if (size >= kWorthFolding) crc = fold_crc(crc, &data, &size);
  for (; size >= 8; data += 8, size -= 8) crc = crc_of_eight(crc, load64(data));
  for (; size > 0; ++data, --size) crc = (crc >> 8) ^ kCrc.t[0][(crc ^ *data) & 255];
  return ~crc;
}

}  // namespace

const Kernels kScalarKernels = {
    "scalar",
    false,
    scalar_histogram,
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
