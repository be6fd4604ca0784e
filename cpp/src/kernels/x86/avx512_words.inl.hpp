#pragma once

// Operations on 64 bytes with a bit for each byte; see generic/pivot.inl.hpp. Members are
// compressed in a register and then stored: compressing directly to memory is slow on Zen 4.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../generic/memory.inl.hpp"

namespace gradwire {
namespace {

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

  // In eighths of a pass. As high as with AVX2: filling and scattering touch the output twice.
  static constexpr unsigned kMoveCost = 20;
  static void gather(const uint8_t* bytes, uint64_t mask, uint8_t* out) {
    store(out, _mm512_maskz_compress_epi8(mask, load(bytes)));
  }
  static void scatter_add(const uint8_t* list, uint64_t mask, uint8_t* bytes) {
    store(bytes, add(load(bytes), _mm512_maskz_expand_epi8(mask, load(list))));
  }
};

}  // namespace
}  // namespace gradwire
