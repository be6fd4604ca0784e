#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels.hpp"

namespace gradwire {
namespace {

#include "portable.inc"

#include "floats.inc"

#include "avx2.inc"
#include "avx2_histogram.inc"

#include "avx2_tokens.inc"

#include "avx2_encode.inc"

#include "avx2_floats.inc"

// 64 bytes and a bit for each; see pivot.inc. Members are compressed in a register: doing it on the
// way to memory is slow on Zen 4.
struct Avx512Words {
  using Vector = __m512i;
  static constexpr size_t kStep = 64;
  static __m512i all(uint8_t byte) { return _mm512_set1_epi8(static_cast<char>(byte)); }
  static __m512i load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static void store(uint8_t* p, __m512i v) { _mm512_storeu_si512(p, v); }
  static __m512i add(__m512i a, __m512i b) { return _mm512_add_epi8(a, b); }
  // `delta` where a bit of the mask at `p` is 1, and 0 elsewhere.
  static __m512i where(const uint8_t* p, __m512i delta) {
    return _mm512_maskz_mov_epi8(load64(p), delta);
  }

  static uint64_t at_least(const uint8_t* bytes, uint8_t least) {
    return _mm512_cmpge_epu8_mask(load(bytes), all(least));
  }
  static uint64_t bit(const uint8_t* bytes, uint8_t first, unsigned bit) {
    const __m512i rank = _mm512_sub_epi8(load(bytes), all(first));
    return _mm512_test_epi8_mask(rank, all(static_cast<uint8_t>(1u << bit)));
  }
  static uint64_t extract(uint64_t bits, uint64_t mask) { return _pext_u64(bits, mask); }
  static uint64_t deposit(uint64_t bits, uint64_t mask) { return _pdep_u64(bits, mask); }

  // In eighths of a pass: one instruction moves 64 elements.
  static constexpr unsigned kMoveCost = 6;
  static void gather(const uint8_t* bytes, uint64_t mask, uint8_t* out) {
    store(out, _mm512_maskz_compress_epi8(mask, load(bytes)));
  }
  static void scatter_add(const uint8_t* list, uint64_t mask, uint8_t* bytes) {
    store(bytes, add(load(bytes), _mm512_maskz_expand_epi8(mask, load(list))));
  }
};

// Two look-ups in 128 bytes, of which the highest bit of a byte chooses one.
void avx512_map_bytes(const ByteMap* map, const uint8_t* in, size_t size, uint8_t* out) {
  const __m512i table[4] = {Avx512Words::load(map->to), Avx512Words::load(map->to + 64),
                            Avx512Words::load(map->to + 128), Avx512Words::load(map->to + 192)};
  size_t i = 0;
  for (; i + 64 <= size; i += 64) {
    const __m512i v = Avx512Words::load(in + i);
    const __m512i low = _mm512_permutex2var_epi8(table[0], v, table[1]);
    const __m512i high = _mm512_permutex2var_epi8(table[2], v, table[3]);
    Avx512Words::store(out + i, _mm512_mask_mov_epi8(low, _mm512_movepi8_mask(v), high));
  }
  portable_map_bytes(map, in + i, size - i, out + i);
}

struct Avx512TokenSteps : Avx2TokenSteps {
  // The places and values of 64 bytes are compressed at once; places take two registers.
  static size_t find(const TokenWindow& window, size_t, NonZeros& nonzeros) {
    const __m512i zero = _mm512_setzero_si512();
    const __m512i step = _mm512_set1_epi16(64);
    __m512i low = iota(0);
    __m512i high = iota(32);
    size_t found = 0;
    size_t i = 0;
    for (; i + 64 <= window.size; i += 64) {
      const __m512i v = Avx512Words::load(window.bytes + i);
      const uint64_t mask = _mm512_cmpneq_epi8_mask(v, zero);
      const uint32_t first = static_cast<uint32_t>(mask);
      Avx512Words::store(nonzeros.value + found, _mm512_maskz_compress_epi8(mask, v));
      store_places(nonzeros.place + found, _mm512_maskz_compress_epi16(first, low));
      found += count_ones(first);
      const uint32_t second = static_cast<uint32_t>(mask >> 32);
      store_places(nonzeros.place + found, _mm512_maskz_compress_epi16(second, high));
      found += count_ones(second);
      low = _mm512_add_epi16(low, step);
      high = _mm512_add_epi16(high, step);
    }
    return nonzeros_from(window, i, nonzeros, found);
  }

 private:
  static void store_places(uint16_t* p, __m512i v) { _mm512_storeu_si512(p, v); }
  static __m512i iota(uint16_t first) {
    uint16_t places[32];
    for (uint16_t k = 0; k < 32; ++k) places[k] = static_cast<uint16_t>(first + k);
    return _mm512_loadu_si512(places);
  }
};

TokenCounts avx512_tokenize(const TokenTable* table, const Blocks* blocks, uint8_t* tokens,
                            uint32_t* unknown) {
  return tokenize_with<Avx512TokenSteps>(*table, *blocks, tokens, unknown);
}

}  // namespace

const Kernels kAvx512Kernels = {
    "avx512",
    true,
    avx2_histogram,
    avx2_find_outside,
    avx2_crc32c,
    avx2_run_starts,
    avx2_encode_bytes,
    portable_decode_bytes,
    avx2_block_signs,
    avx2_cheapest_classes,
    avx512_tokenize,
    portable_expand,
    portable_narrow,
    portable_widen,
    portable_range,
    avx512_map_bytes,
    kPivotKernels<Avx512Words>,
    kFloatKernels<Avx2FloatSteps>,
};

}  // namespace gradwire
