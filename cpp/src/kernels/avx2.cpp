#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.hpp"

namespace gradwire {
namespace {

#include "portable.inc"

__m256i load256(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

// ---- CRC-32C ---------------------------------------------------------------------------------

constexpr uint32_t crc_multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = 0x80000000; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = (b & 1) ? (b >> 1) ^ 0x82F63B78 : b >> 1;
  }
  return product;
}

// x^(bits - 33): the factor that a carry-less product and crc32 turn into a shift by `bits`.
constexpr uint32_t crc_shift_factor(uint64_t bits) {
  uint32_t power = 0x40000000;  // x
  uint32_t result = 0x80000000;
  for (uint64_t e = bits - 33; e != 0; e >>= 1) {
    if (e & 1) result = crc_multiply(result, power);
    power = crc_multiply(power, power);
  }
  return result;
}

uint32_t crc_shift(uint32_t crc, uint32_t factor) {
  const __m128i product = _mm_clmulepi64_si128(_mm_cvtsi32_si128(static_cast<int>(crc)),
                                               _mm_cvtsi32_si128(static_cast<int>(factor)), 0);
  return static_cast<uint32_t>(_mm_crc32_u64(0, static_cast<uint64_t>(_mm_cvtsi128_si64(product))));
}

// Three sums at once, because crc32 has three cycles of latency and a throughput of one.
uint32_t avx2_crc32c(uint32_t crc, const uint8_t* data, size_t size) {
  constexpr size_t kPart = 1024;
  constexpr uint32_t kOne = crc_shift_factor(8 * kPart);
  constexpr uint32_t kTwo = crc_shift_factor(16 * kPart);
  uint64_t a = static_cast<uint32_t>(~crc);
  for (; size >= 3 * kPart; data += 3 * kPart, size -= 3 * kPart) {
    uint64_t b = 0;
    uint64_t c = 0;
    for (size_t i = 0; i < kPart; i += 8) {
      a = _mm_crc32_u64(a, load64(data + i));
      b = _mm_crc32_u64(b, load64(data + kPart + i));
      c = _mm_crc32_u64(c, load64(data + 2 * kPart + i));
    }
    a = crc_shift(static_cast<uint32_t>(a), kTwo) ^ crc_shift(static_cast<uint32_t>(b), kOne) ^
        static_cast<uint32_t>(c);
  }
  for (; size >= 8; data += 8, size -= 8) a = _mm_crc32_u64(a, load64(data));
  uint32_t rest = static_cast<uint32_t>(a);
  for (; size > 0; ++data, --size) rest = _mm_crc32_u8(rest, *data);
  return ~rest;
}

// ---- histogram -------------------------------------------------------------------------------

constexpr unsigned kHot = 6;  // with as many counters, they fill the registers

// The commonest bytes of a sample, no two equal. Returns how many of them make up nearly all of
// the sample; kHot if that takes all, or they make up at least half; otherwise 0.
unsigned find_hot(const uint8_t* data, size_t size, uint8_t hot[kHot]) {
  constexpr int kSample = 512;
  int counts[256] = {};
  for (size_t i = 0; i < kSample; ++i) ++counts[data[size / kSample * i]];
  int covered = 0;
  unsigned enough = 0;
  for (unsigned k = 0; k < kHot; ++k) {
    unsigned best = 0;
    for (unsigned s = 1; s < 256; ++s) best = counts[s] > counts[best] ? s : best;
    hot[k] = static_cast<uint8_t>(best);
    covered += counts[best];
    counts[best] = -1;
    if (enough == 0 && covered >= kSample - kSample / 64) enough = k + 1;
  }
  return enough != 0 ? enough : covered >= kSample / 2 ? kHot : 0;
}

// By an 8-bit mask: the places of its ones, as indices for a byte shuffle.
struct CompressTable {
  uint64_t places[256];
};

constexpr CompressTable make_compress_table() {
  CompressTable table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    unsigned found = 0;
    for (uint64_t i = 0; i < 8; ++i) {
      if (mask >> i & 1) table.places[mask] |= i << (8 * found++);
    }
  }
  return table;
}

constexpr CompressTable kCompress = make_compress_table();

// Moves the bytes of `v` that `mask` chooses to `out`, close together; may write 8 bytes more.
uint8_t* compress_bytes(__m256i v, uint32_t mask, uint8_t* out) {
  const uint64_t part[4] = {
      static_cast<uint64_t>(_mm256_extract_epi64(v, 0)),
      static_cast<uint64_t>(_mm256_extract_epi64(v, 1)),
      static_cast<uint64_t>(_mm256_extract_epi64(v, 2)),
      static_cast<uint64_t>(_mm256_extract_epi64(v, 3)),
  };
  for (unsigned k = 0; k < 4; ++k) {
    const uint32_t chosen = (mask >> (8 * k)) & 255;
    const __m128i places = _mm_cvtsi64_si128(static_cast<long long>(kCompress.places[chosen]));
    const __m128i bytes = _mm_cvtsi64_si128(static_cast<long long>(part[k]));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(bytes, places));
    out += __builtin_popcount(chosen);
  }
  return out;
}

uint64_t sum_of_bytes(__m256i v) {
  const __m256i sums = _mm256_sad_epu8(v, _mm256_setzero_si256());
  return static_cast<uint64_t>(_mm256_extract_epi64(sums, 0)) +
         static_cast<uint64_t>(_mm256_extract_epi64(sums, 1)) +
         static_cast<uint64_t>(_mm256_extract_epi64(sums, 2)) +
         static_cast<uint64_t>(_mm256_extract_epi64(sums, 3));
}

// Where few values are common, comparing 32 bytes with each of them beats counting one by one.
// The others are moved to a buffer, and counted there.
template <unsigned Compared>
void count_hot(const uint8_t* data, size_t size, const uint8_t* hot, uint64_t counts[256]) {
  constexpr size_t kOthers = 32768;
  constexpr size_t kMostSteps = 255;  // a byte counts no further
  uint8_t others[kOthers + 32 * kMostSteps + 8];
  uint8_t* others_end = others;
  __m256i value[Compared];
  for (unsigned k = 0; k < Compared; ++k) value[k] = _mm256_set1_epi8(static_cast<char>(hot[k]));
  size_t i = 0;
  while (i + 32 <= size) {
    __m256i seen[Compared] = {};
    const size_t steps = (size - i) / 32 < kMostSteps ? (size - i) / 32 : kMostSteps;
    for (size_t step = 0; step < steps; ++step, i += 32) {
      const __m256i v = load256(data + i);
      __m256i any = _mm256_setzero_si256();
      for (unsigned k = 0; k < Compared; ++k) {
        const __m256i equal = _mm256_cmpeq_epi8(v, value[k]);
        seen[k] = _mm256_sub_epi8(seen[k], equal);
        any = _mm256_or_si256(any, equal);
      }
      const uint32_t rare = ~static_cast<uint32_t>(_mm256_movemask_epi8(any));
      if (Compared == kHot || rare != 0) others_end = compress_bytes(v, rare, others_end);
    }
    for (unsigned k = 0; k < Compared; ++k) counts[hot[k]] += sum_of_bytes(seen[k]);
    if (others_end - others >= static_cast<ptrdiff_t>(kOthers)) {
      count_bytes(others, static_cast<size_t>(others_end - others), counts);
      others_end = others;
    }
  }
  count_bytes(others, static_cast<size_t>(others_end - others), counts);
  for (; i < size; ++i) ++counts[data[i]];
}

void avx2_histogram(const uint8_t* data, size_t size, uint64_t counts[256]) {
  constexpr size_t kWorthASample = 16384;
  uint8_t hot[kHot];
  const unsigned enough = size < kWorthASample ? 0 : find_hot(data, size, hot);
  if (enough == 0) {
    count_bytes(data, size, counts);
  } else if (enough <= 3) {
    count_hot<3>(data, size, hot, counts);
  } else if (enough <= 5) {
    count_hot<5>(data, size, hot, counts);
  } else {
    count_hot<kHot>(data, size, hot, counts);
  }
}

__m256i twice(const uint8_t table[16]) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
}

// A byte with its highest bit set shuffles to 0: each half of the set has its own shuffle.
size_t avx2_find_outside(const ByteSet* set, const uint8_t* data, size_t size) {
  constexpr uint8_t kBits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  const __m256i bits = twice(kBits);
  const __m256i lower = twice(set->rows[0]);
  const __m256i upper = twice(set->rows[1]);
  const __m256i low_half = _mm256_set1_epi8(15);
  const __m256i highest = _mm256_set1_epi8(-128);
  for (size_t i = 0; i + 32 <= size; i += 32) {
    const __m256i v = load256(data + i);
    const __m256i row = _mm256_or_si256(_mm256_shuffle_epi8(lower, v),
                                        _mm256_shuffle_epi8(upper, _mm256_xor_si256(v, highest)));
    const __m256i bit =
        _mm256_shuffle_epi8(bits, _mm256_and_si256(_mm256_srli_epi16(v, 4), low_half));
    if (!_mm256_testc_si256(row, bit)) return i + portable_find_outside(set, data + i, 32);
  }
  const size_t done = size / 32 * 32;
  return done + portable_find_outside(set, data + done, size - done);
}

// ---- runs ------------------------------------------------------------------------------------

template <size_t Width>
__m256i equal_elements(__m256i a, __m256i b) {
  if constexpr (Width == 1) return _mm256_cmpeq_epi8(a, b);
  if constexpr (Width == 2) return _mm256_cmpeq_epi16(a, b);
  if constexpr (Width == 4) return _mm256_cmpeq_epi32(a, b);
  return _mm256_cmpeq_epi64(a, b);
}

// Where an element differs from the one before it, the mask has Width ones.
template <size_t Width>
size_t vector_run_starts(const uint8_t* data, size_t count, uint32_t* starts) {
  constexpr size_t kStep = 32 / Width;
  constexpr uint32_t kLowest = Width == 1   ? 0xFFFFFFFF
                               : Width == 2 ? 0x55555555
                               : Width == 4 ? 0x11111111
                                            : 0x01010101;
  if (count == 0) return 0;
  starts[0] = 0;
  size_t found = 1;
  size_t i = 1;
  for (; i + kStep <= count; i += kStep) {
    const uint8_t* here = data + i * Width;
    const __m256i equal = equal_elements<Width>(load256(here), load256(here - Width));
    uint32_t mask = ~static_cast<uint32_t>(_mm256_movemask_epi8(equal)) & kLowest;
    // Eight at a time without asking whether there are as many: what is too much is overwritten.
    const size_t end = found + static_cast<size_t>(__builtin_popcount(mask));
    do {
      for (uint32_t k = 0; k < 8; ++k) {
        starts[found + k] = static_cast<uint32_t>(i) + _tzcnt_u32(mask) / Width;
        mask = _blsr_u32(mask);
      }
      found += 8;
    } while (found < end);
    found = end;
  }
  return run_starts_from(data, i, count, Width, starts, found);
}

size_t avx2_run_starts(const uint8_t* data, size_t count, size_t width, uint32_t* starts) {
  switch (width) {
    case 1: return vector_run_starts<1>(data, count, starts);
    case 2: return vector_run_starts<2>(data, count, starts);
    case 4: return vector_run_starts<4>(data, count, starts);
    default: return vector_run_starts<8>(data, count, starts);
  }
}

// ---- block classes and tokens ----------------------------------------------------------------

void avx2_block_signs(const uint8_t* data, size_t size, BlockSigns* signs) {
  const __m256i zero = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + kBlockSize <= size; i += kBlockSize, ++signs) {
    unsigned negative = 0;
    unsigned zeros = 0;
    for (size_t k = 0; k < kBlockSize; k += 32) {
      const __m256i v = load256(data + i + k);
      negative +=
          static_cast<unsigned>(__builtin_popcount(static_cast<uint32_t>(_mm256_movemask_epi8(v))));
      zeros += static_cast<unsigned>(__builtin_popcount(
          static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(v, zero)))));
    }
    *signs = {static_cast<uint16_t>(negative),
              static_cast<uint16_t>(kBlockSize - negative - zeros)};
  }
  if (i < size) {
    *signs = {};
    count_signs(data + i, size - i, *signs);
  }
}

size_t avx2_nonzeros(const uint8_t* data, size_t size, uint16_t* places) {
  const __m256i zero = _mm256_setzero_si256();
  const auto zeros = [&](size_t i) -> uint64_t {
    return static_cast<uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(load256(data + i), zero)));
  };
  size_t found = 0;
  size_t i = 0;
  for (; i + 64 <= size; i += 64) {
    uint64_t mask = ~(zeros(i) | zeros(i + 32) << 32);
    // Eight at a time without asking whether there are as many: what is too much is overwritten.
    const size_t end = found + static_cast<size_t>(__builtin_popcountll(mask));
    do {
      for (size_t k = 0; k < kSparePlaces; ++k) {
        places[found + k] = static_cast<uint16_t>(i + _tzcnt_u64(mask));
        mask = _blsr_u64(mask);
      }
      found += kSparePlaces;
    } while (found < end);
    found = end;
  }
  return nonzeros_from(data, i, size, places, found);
}

TokenCounts avx2_tokenize(const TokenTable* table, const uint8_t* data, size_t size,
                          uint8_t* tokens, uint32_t* unknown) {
  return tokenize_with(avx2_nonzeros, *table, data, size, tokens, unknown);
}

}  // namespace

const Kernels kAvx2Kernels = {
    "avx2",
    avx2_histogram,
    avx2_find_outside,
    avx2_crc32c,
    avx2_run_starts,
    portable_encode_bytes,
    portable_decode_bytes,
    avx2_block_signs,
    portable_cheapest_classes,
    avx2_tokenize,
    portable_expand,
};

}  // namespace gradwire
