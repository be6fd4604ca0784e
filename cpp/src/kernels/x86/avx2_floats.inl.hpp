#pragma once

// The steps of generic/float_*.inl.hpp in AVX2.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../float_kernels.hpp"
#include "../generic/float_bytes.inl.hpp"
#include "../generic/float_lanes.inl.hpp"
#include "../generic/load_ahead.inl.hpp"
#include "../generic/memory.inl.hpp"
#include "avx2_masks.inl.hpp"
#include "avx2_memory.inl.hpp"

namespace gradwire {
namespace {

struct Avx2ByteSteps : GenericByteSteps {
  // Takes 32 elements at a time. Each round moves the even bytes of a run of vectors to its first
  // half and the odd ones to its second half. In the end, plane k is the vector whose number has
  // the bits of k in reverse.
  template <typename T>
  static size_t split_many(const uint8_t* elements, size_t count, uint8_t* const* planes) {
    constexpr size_t kWidth = sizeof(T);
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
      load_ahead<32 * kWidth>(elements + i * kWidth);
      __m256i v[kWidth];
#pragma GCC unroll 8
      for (size_t k = 0; k < kWidth; ++k) {
        v[k] = rotated<T>(load256(elements + i * kWidth + 32 * k), 1);
      }
      split_runs<kWidth, kWidth>(v);
#pragma GCC unroll 8
      for (size_t k = 0; k < kWidth; ++k) store256(planes[k] + i, v[reversed<kWidth>(k)]);
    }
    return i;
  }

  template <typename T>
  static size_t join_many(const uint8_t* const* planes, size_t count, uint8_t* elements) {
    constexpr size_t kWidth = sizeof(T);
    size_t i = 0;
    for (; i + 32 <= count; i += 32) {
      __m256i v[kWidth];
#pragma GCC unroll 8
      for (size_t k = 0; k < kWidth; ++k) v[reversed<kWidth>(k)] = load256(planes[k] + i);
      join_runs<2, kWidth>(v);
#pragma GCC unroll 8
      for (size_t k = 0; k < kWidth; ++k) {
        store256(elements + i * kWidth + 32 * k, rotated<T>(v[k], 8 * kWidth - 1));
      }
    }
    return i;
  }

  // Turns places of 8 words of 16 bits into the places of their bytes. Places from 0x80 on stay
  // there, so that a shuffle gives 0 for them.
  static __m128i byte_places(__m128i word_places) {
    const __m128i both = _mm_unpacklo_epi8(word_places, word_places);
    const __m128i doubled = _mm_add_epi8(both, _mm_and_si128(both, _mm_set1_epi8(0x7F)));
    return _mm_or_si128(_mm_add_epi8(doubled, _mm_set1_epi16(0x0100)),
                        _mm_and_si128(both, _mm_set1_epi8(static_cast<char>(0x80))));
  }

  template <typename T>
  static uint32_t nonzero_32(const uint8_t* in) {
    return ~static_cast<uint32_t>(_mm256_movemask_epi8(zeros_32<T>(in)));
  }

  static uint64_t extract(uint64_t bits, uint64_t mask) { return _pext_u64(bits, mask); }
  static uint64_t deposit(uint64_t bits, uint64_t mask) { return _pdep_u64(bits, mask); }

  template <typename T>
  static size_t keep_8(const uint8_t* in, uint8_t* out) {
    if constexpr (sizeof(T) == 8) return GenericByteSteps::keep_8<T>(in, out);
    const uint8_t mask = nonzero_8<T>(in);
    const __m128i places = load_8(&kCompress.places[mask]);
    if constexpr (sizeof(T) == 4) {
      store256(out, _mm256_permutevar8x32_epi32(load256(in), _mm256_cvtepu8_epi32(places)));
    } else {
      store128(out, _mm_shuffle_epi8(load128(in), byte_places(places)));
    }
    return static_cast<size_t>(_mm_popcnt_u32(mask));
  }

  template <typename T>
  static size_t put_8(uint8_t mask, const uint8_t* nonzeros, uint8_t* out) {
    const __m128i ranks = load_8(&kScatter.ranks[mask]);
    if constexpr (sizeof(T) == 4) {
      const __m256i places = _mm256_cvtepi8_epi32(ranks);
      const __m256i v = _mm256_permutevar8x32_epi32(load256(nonzeros), places);
      store256(out, _mm256_andnot_si256(_mm256_srai_epi32(places, 31), v));
    } else if constexpr (sizeof(T) == 2) {
      store128(out, _mm_shuffle_epi8(load128(nonzeros), byte_places(ranks)));
    } else {
      return GenericByteSteps::put_8<T>(mask, nonzeros, out);
    }
    return static_cast<size_t>(_mm_popcnt_u32(mask));
  }

 private:
  template <typename T>
  [[gnu::always_inline]] static __m256i rotated(__m256i v, int left) {
    constexpr int kBits = 8 * sizeof(T);
    if constexpr (kBits == 16) {
      return _mm256_or_si256(_mm256_slli_epi16(v, left), _mm256_srli_epi16(v, kBits - left));
    } else if constexpr (kBits == 32) {
      return _mm256_or_si256(_mm256_slli_epi32(v, left), _mm256_srli_epi32(v, kBits - left));
    } else {
      return _mm256_or_si256(_mm256_slli_epi64(v, left), _mm256_srli_epi64(v, kBits - left));
    }
  }
  // Moves the even bytes of each run of vectors to its first half, then does the same with the
  // halves.
  template <size_t Run, size_t Width>
  [[gnu::always_inline]] static void split_runs(__m256i* v) {
    const __m256i low = _mm256_set1_epi16(0xFF);
    __m256i moved[Width];
#pragma GCC unroll 8
    for (size_t k = 0; k < Width; k += 2) {
      const __m256i even =
          _mm256_packus_epi16(_mm256_and_si256(v[k], low), _mm256_and_si256(v[k + 1], low));
      const __m256i odd =
          _mm256_packus_epi16(_mm256_srli_epi16(v[k], 8), _mm256_srli_epi16(v[k + 1], 8));
      const size_t to = k / Run * Run + k % Run / 2;
      moved[to] = in_order(even);
      moved[to + Run / 2] = in_order(odd);
    }
#pragma GCC unroll 8
    for (size_t k = 0; k < Width; ++k) v[k] = moved[k];
    if constexpr (Run > 2) split_runs<Run / 2, Width>(v);
  }
  // The inverse of split_runs().
  template <size_t Run, size_t Width>
  [[gnu::always_inline]] static void join_runs(__m256i* v) {
    __m256i mixed[Width];
#pragma GCC unroll 8
    for (size_t k = 0; k < Width; k += 2) {
      const size_t from = k / Run * Run + k % Run / 2;
      const __m256i low = _mm256_unpacklo_epi8(v[from], v[from + Run / 2]);
      const __m256i high = _mm256_unpackhi_epi8(v[from], v[from + Run / 2]);
      mixed[k] = _mm256_permute2x128_si256(low, high, 0x20);
      mixed[k + 1] = _mm256_permute2x128_si256(low, high, 0x31);
    }
#pragma GCC unroll 8
    for (size_t k = 0; k < Width; ++k) v[k] = mixed[k];
    if constexpr (Run < Width) join_runs<2 * Run, Width>(v);
  }
  // Reverses the bits of a number below Width.
  template <size_t Width>
  static constexpr size_t reversed(size_t number) {
    size_t result = 0;
    for (size_t bit = 1; bit < Width; bit *= 2) result = 2 * result + (number / bit & 1);
    return result;
  }
  static __m256i is_zero(__m256i v) { return _mm256_cmpeq_epi32(v, _mm256_setzero_si256()); }
  static __m128i is_zero(__m128i v) { return _mm_cmpeq_epi16(v, _mm_setzero_si128()); }
  // One bit for each of 8 elements of 4 or 2 bytes: whether it is not zero.
  template <typename T>
  static uint8_t nonzero_8(const uint8_t* in) {
    if constexpr (sizeof(T) == 4) return static_cast<uint8_t>(~high_bits(is_zero(load256(in))));
    return static_cast<uint8_t>(~high_bits(is_zero(load128(in))));
  }
  // Compare 8, 16 or 32 elements with zero, and narrow the results to 4, 2 or 1 bytes each.
  template <typename T>
  [[gnu::always_inline]] static __m256i zeros_8(const uint8_t* in) {
    const __m256i zero = _mm256_setzero_si256();
    if constexpr (sizeof(T) == 4) return _mm256_cmpeq_epi32(load256(in), zero);
    return in_order(_mm256_packs_epi32(_mm256_cmpeq_epi64(load256(in), zero),
                                       _mm256_cmpeq_epi64(load256(in + 32), zero)));
  }
  template <typename T>
  [[gnu::always_inline]] static __m256i zeros_16(const uint8_t* in) {
    if constexpr (sizeof(T) == 2) {
      return _mm256_cmpeq_epi16(load256(in), _mm256_setzero_si256());
    } else {
      return in_order(_mm256_packs_epi32(zeros_8<T>(in), zeros_8<T>(in + 8 * sizeof(T))));
    }
  }
  template <typename T>
  [[gnu::always_inline]] static __m256i zeros_32(const uint8_t* in) {
    return in_order(_mm256_packs_epi16(zeros_16<T>(in), zeros_16<T>(in + 16 * sizeof(T))));
  }
  [[gnu::always_inline]] static __m256i in_order(__m256i packed) {
    return _mm256_permute4x64_epi64(packed, 0xD8);
  }
  static unsigned high_bits(__m256i v) {
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(v)));
  }
  static unsigned high_bits(__m128i v) {
    return static_cast<unsigned>(_mm_movemask_epi8(_mm_packs_epi16(v, v)));
  }
};

struct Avx2FloatSteps {
  using Bytes = Avx2ByteSteps;

  [[gnu::always_inline]] static __m256i integers(IntLanes v) {
    return reinterpret_cast<__m256i>(v);
  }
  [[gnu::always_inline]] static FloatLanes smaller(FloatLanes a, FloatLanes b) {
    return _mm256_min_ps(a, b);
  }
  [[gnu::always_inline]] static FloatLanes larger(FloatLanes a, FloatLanes b) {
    return _mm256_max_ps(a, b);
  }
  [[gnu::always_inline]] static UintLanes swap_halves(UintLanes v) {
    const __m256i order = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
    return reinterpret_cast<UintLanes>(_mm256_shuffle_epi8(reinterpret_cast<__m256i>(v), order));
  }
  [[gnu::always_inline]] static IntLanes with_sign(IntLanes magnitude, FloatLanes like) {
    const __m256i v = _mm256_sign_epi32(integers(magnitude), _mm256_castps_si256(like));
    return reinterpret_cast<IntLanes>(v);
  }
  [[gnu::always_inline]] static void store_levels(const IntLanes (&v)[4], int8_t* out) {
    const __m256i low = _mm256_packs_epi32(integers(v[0]), integers(v[1]));
    const __m256i high = _mm256_packs_epi32(integers(v[2]), integers(v[3]));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), order);
    const __m256i least = _mm256_set1_epi8(-127);
    store256(reinterpret_cast<uint8_t*>(out), _mm256_max_epi8(bytes, least));
  }
  [[gnu::always_inline]] static void store_levels(const IntLanes (&v)[4], int16_t* out) {
    for (size_t k = 0; k < 4; k += 2) {
      const __m256i both = _mm256_packs_epi32(integers(v[k]), integers(v[k + 1]));
      const __m256i words = _mm256_permute4x64_epi64(both, 0xD8);
      const __m256i least = _mm256_set1_epi16(-32767);
      store256(reinterpret_cast<uint8_t*>(out + k * kLanes), _mm256_max_epi16(words, least));
    }
  }
  [[gnu::always_inline]] static IntLanes load_levels(const int8_t* p) {
    return reinterpret_cast<IntLanes>(_mm256_cvtepi8_epi32(load_8(p)));
  }
  [[gnu::always_inline]] static IntLanes load_levels(const int16_t* p) {
    const __m128i words = load128(reinterpret_cast<const uint8_t*>(p));
    return reinterpret_cast<IntLanes>(_mm256_cvtepi16_epi32(words));
  }
  [[gnu::always_inline]] static unsigned highest_bits(IntLanes v) {
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(integers(v))));
  }
  [[gnu::always_inline]] static size_t keep(FloatLanes x, unsigned mask, uint32_t first,
                                            uint32_t* indices, float* values) {
    const __m256i places = _mm256_cvtepu8_epi32(load_8(&kCompress.places[mask]));
    const __m256i index = _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(first)), places);
    store256(reinterpret_cast<uint8_t*>(indices), index);
    _mm256_storeu_ps(values, _mm256_permutevar8x32_ps(x, places));
    return static_cast<size_t>(_mm_popcnt_u32(mask));
  }
};

}  // namespace
}  // namespace gradwire
