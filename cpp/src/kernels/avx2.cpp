#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.hpp"

namespace gradwire {
namespace {

#include "portable.inc"

#include "avx2.inc"

// By an 8-bit mask: for each of its ones the number of those below; 0x80, a zero, elsewhere.
struct ScatterTable {
  uint64_t ranks[256];
};

constexpr ScatterTable make_scatter_table() {
  ScatterTable table{};
  for (unsigned mask = 0; mask < 256; ++mask) {
    uint64_t found = 0;
    for (uint64_t i = 0; i < 8; ++i) {
      const bool one = mask >> i & 1;
      table.ranks[mask] |= (one ? found++ : 0x80) << (8 * i);
    }
  }
  return table;
}

constexpr ScatterTable kScatter = make_scatter_table();

// For each byte of the mask: how many ones there are in those below.
uint64_t ones_before(uint64_t mask) {
  uint64_t ones = mask - (mask >> 1 & 0x5555555555555555);
  ones = (ones & 0x3333333333333333) + (ones >> 2 & 0x3333333333333333);
  ones = (ones + (ones >> 4)) & 0x0F0F0F0F0F0F0F0F;
  return ones * 0x0101010101010100;
}

// 64 bytes and a bit for each; see pivot.inc.
struct Avx2Words {
  static __m256i all(uint8_t byte) { return _mm256_set1_epi8(static_cast<char>(byte)); }
  static void store(uint8_t* p, __m256i v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v);
  }
  static uint32_t high_bits(__m256i v) { return static_cast<uint32_t>(_mm256_movemask_epi8(v)); }

  static uint32_t at_least_32(__m256i v, __m256i least) {
    return high_bits(_mm256_cmpeq_epi8(_mm256_max_epu8(v, least), v));
  }
  static uint64_t at_least(const uint8_t* bytes, uint8_t least) {
    return at_least_32(load256(bytes), all(least)) |
           uint64_t{at_least_32(load256(bytes + 32), all(least))} << 32;
  }

  // The bit moves to the top of its byte; what comes in from the next byte stays below.
  static uint32_t bit_32(__m256i v, uint8_t first, unsigned bit) {
    const __m128i up = _mm_cvtsi32_si128(static_cast<int>(7 - bit));
    return high_bits(_mm256_sll_epi16(_mm256_sub_epi8(v, all(first)), up));
  }
  static uint64_t bit(const uint8_t* bytes, uint8_t first, unsigned bit) {
    return bit_32(load256(bytes), first, bit) | uint64_t{bit_32(load256(bytes + 32), first, bit)}
                                                    << 32;
  }

  static uint64_t extract(uint64_t bits, uint64_t mask) { return _pext_u64(bits, mask); }
  static uint64_t deposit(uint64_t bits, uint64_t mask) { return _pdep_u64(bits, mask); }

  using Vector = __m256i;
  static constexpr size_t kStep = 32;
  static __m256i load(const uint8_t* p) { return load256(p); }
  static __m256i add(__m256i a, __m256i b) { return _mm256_add_epi8(a, b); }
  // `delta` where a bit of the mask at `p` is 1, and 0 elsewhere.
  static __m256i where(const uint8_t* p, __m256i delta) {
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i bits = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201));
    int mask;
    memcpy(&mask, p, sizeof(mask));
    const __m256i eight = _mm256_shuffle_epi8(_mm256_set1_epi32(mask), spread);
    const __m256i ones = _mm256_cmpeq_epi8(_mm256_and_si256(eight, bits), bits);
    return _mm256_and_si256(ones, delta);
  }

  // In eighths of a pass: twice 8 loads, shuffles and stores for 64 elements.
  static constexpr unsigned kMoveCost = 24;
  static __m128i load_8(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }
  static void gather(const uint8_t* bytes, uint64_t mask, uint8_t* out) {
    const uint64_t before = ones_before(mask);
    for (unsigned k = 0; k < 8; ++k) {
      const __m128i places = load_8(&kCompress.places[mask >> (8 * k) & 255]);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(out + (before >> (8 * k) & 255)),
                       _mm_shuffle_epi8(load_8(bytes + 8 * k), places));
    }
  }
  static void scatter_add(const uint8_t* list, uint64_t mask, uint8_t* bytes) {
    const uint64_t before = ones_before(mask);
    for (unsigned k = 0; k < 8; ++k) {
      const __m128i ranks = load_8(&kScatter.ranks[mask >> (8 * k) & 255]);
      const __m128i spread = _mm_shuffle_epi8(load_8(list + (before >> (8 * k) & 255)), ranks);
      _mm_storel_epi64(reinterpret_cast<__m128i*>(bytes + 8 * k),
                       _mm_add_epi8(load_8(bytes + 8 * k), spread));
    }
  }
};

// One shuffle for each row of 16 bytes: what is not in the row has its highest bit set, and gives
// 0.
template <unsigned Rows>
void map_rows(const ByteMap& map, const uint8_t* in, size_t size, uint8_t* out) {
  __m256i row[Rows];
  __m256i table[Rows];
  for (unsigned k = 0; k < Rows; ++k) {
    row[k] = Avx2Words::all(static_cast<uint8_t>(map.row[k] << 4));
    table[k] = twice(map.to + 16 * map.row[k]);
  }
  const __m256i past_row = Avx2Words::all(0x70);
  const auto mapped = [&](__m256i v) {
    __m256i sum = _mm256_setzero_si256();
    for (unsigned k = 0; k < Rows; ++k) {
      const __m256i place = _mm256_adds_epu8(_mm256_xor_si256(v, row[k]), past_row);
      sum = _mm256_or_si256(sum, _mm256_shuffle_epi8(table[k], place));
    }
    return sum;
  };
  size_t i = 0;
  for (; i + 32 <= size; i += 32) Avx2Words::store(out + i, mapped(load256(in + i)));
  portable_map_bytes(&map, in + i, size - i, out + i);
}

void avx2_map_bytes(const ByteMap* map, const uint8_t* in, size_t size, uint8_t* out) {
  if (map->rows <= 1) return map_rows<1>(*map, in, size, out);
  if (map->rows <= 2) return map_rows<2>(*map, in, size, out);
  if (map->rows <= 4) return map_rows<4>(*map, in, size, out);
  if (map->rows <= 8) return map_rows<8>(*map, in, size, out);
  map_rows<16>(*map, in, size, out);
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
    avx2_map_bytes,
    kPivotKernels<Avx2Words>,
};

}  // namespace gradwire
