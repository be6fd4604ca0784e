// The AVX-512 kernels with the instructions of that set written out, so that their logic is tested
// on machines that lack it. Those that have it run the real ones too.

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

namespace {

struct Bytes64 {
  uint8_t byte[64];
};

template <typename F>
Bytes64 each(const F& f) {
  Bytes64 result;
  for (unsigned i = 0; i < 64; ++i) result.byte[i] = static_cast<uint8_t>(f(i));
  return result;
}

template <typename F>
uint64_t bits(const F& f) {
  uint64_t mask = 0;
  for (unsigned i = 0; i < 64; ++i) mask |= uint64_t{f(i)} << i;
  return mask;
}

bool is_one(uint64_t mask, unsigned i) { return mask >> i & 1; }

Bytes64 emulated_load(const void* p) {
  Bytes64 v;
  memcpy(&v, p, sizeof(v));
  return v;
}
void emulated_store(void* p, const Bytes64& v) { memcpy(p, &v, sizeof(v)); }
Bytes64 emulated_set1(char byte) {
  return each([=](unsigned) { return byte; });
}
Bytes64 emulated_add(const Bytes64& a, const Bytes64& b) {
  return each([&](unsigned i) { return a.byte[i] + b.byte[i]; });
}
Bytes64 emulated_sub(const Bytes64& a, const Bytes64& b) {
  return each([&](unsigned i) { return a.byte[i] - b.byte[i]; });
}
uint64_t emulated_cmpge(const Bytes64& a, const Bytes64& b) {
  return bits([&](unsigned i) { return a.byte[i] >= b.byte[i]; });
}
uint64_t emulated_test(const Bytes64& a, const Bytes64& b) {
  return bits([&](unsigned i) { return (a.byte[i] & b.byte[i]) != 0; });
}
uint64_t emulated_movepi8(const Bytes64& a) {
  return bits([&](unsigned i) { return a.byte[i] >= 128; });
}
Bytes64 emulated_mask_mov(const Bytes64& otherwise, uint64_t mask, const Bytes64& a) {
  return each([&](unsigned i) { return is_one(mask, i) ? a.byte[i] : otherwise.byte[i]; });
}
Bytes64 emulated_maskz_mov(uint64_t mask, const Bytes64& a) {
  return emulated_mask_mov({}, mask, a);
}
Bytes64 emulated_maskz_compress(uint64_t mask, const Bytes64& a) {
  Bytes64 result{};
  unsigned found = 0;
  for (unsigned i = 0; i < 64; ++i) {
    if (is_one(mask, i)) result.byte[found++] = a.byte[i];
  }
  return result;
}
Bytes64 emulated_maskz_expand(uint64_t mask, const Bytes64& a) {
  unsigned found = 0;
  return each([&](unsigned i) { return is_one(mask, i) ? a.byte[found++] : 0; });
}
uint64_t emulated_cmpneq(const Bytes64& a, const Bytes64& b) {
  return bits([&](unsigned i) { return a.byte[i] != b.byte[i]; });
}
Bytes64 emulated_set1_epi16(short word) {
  return each([=](unsigned i) { return i % 2 == 0 ? word & 255 : word >> 8 & 255; });
}
Bytes64 emulated_add_epi16(const Bytes64& a, const Bytes64& b) {
  return each([&](unsigned i) {
    const unsigned low = i & ~1u;
    const unsigned sum = a.byte[low] + b.byte[low] + 256u * (a.byte[low + 1] + b.byte[low + 1]);
    return i % 2 == 0 ? sum & 255 : sum >> 8 & 255;
  });
}
Bytes64 emulated_maskz_compress_epi16(uint32_t mask, const Bytes64& a) {
  uint64_t bytes = 0;
  for (unsigned i = 0; i < 32; ++i) bytes |= uint64_t{mask >> i & 1 ? 3u : 0u} << (2 * i);
  return emulated_maskz_compress(bytes, a);
}
Bytes64 emulated_permutex2var(const Bytes64& a, const Bytes64& index, const Bytes64& b) {
  return each([&](unsigned i) {
    const unsigned place = index.byte[i] & 127;
    return place < 64 ? a.byte[place] : b.byte[place - 64];
  });
}

}  // namespace

#define __m512i Bytes64
#define _mm512_loadu_si512 emulated_load
#define _mm512_storeu_si512 emulated_store
#define _mm512_set1_epi8 emulated_set1
#define _mm512_add_epi8 emulated_add
#define _mm512_sub_epi8 emulated_sub
// Macros in clang.
#undef _mm512_cmpge_epu8_mask
#undef _mm512_cmpneq_epi8_mask
#define _mm512_cmpge_epu8_mask emulated_cmpge
#define _mm512_test_epi8_mask emulated_test
#define _mm512_movepi8_mask emulated_movepi8
#define _mm512_mask_mov_epi8 emulated_mask_mov
#define _mm512_maskz_mov_epi8 emulated_maskz_mov
#define _mm512_maskz_compress_epi8 emulated_maskz_compress
#define _mm512_maskz_expand_epi8 emulated_maskz_expand
#define _mm512_setzero_si512 Bytes64
#define _mm512_cmpneq_epi8_mask emulated_cmpneq
#define _mm512_set1_epi16 emulated_set1_epi16
#define _mm512_add_epi16 emulated_add_epi16
#define _mm512_maskz_compress_epi16 emulated_maskz_compress_epi16
#define _mm512_permutex2var_epi8 emulated_permutex2var
#define kAvx512Kernels kEmulatedAvx512Kernels

#include "kernels/avx512.cpp"
