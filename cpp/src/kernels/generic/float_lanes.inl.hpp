#pragma once

// float32 on eight lanes, in the vector types of GCC and Clang. `Steps` has the operations that an
// instruction set can do better: see GenericFloatSteps.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../float_kernels.hpp"
#include "load_ahead.inl.hpp"

namespace gradwire {
namespace {

typedef float FloatLanes __attribute__((vector_size(32)));
typedef int32_t IntLanes __attribute__((vector_size(32)));
typedef uint32_t UintLanes __attribute__((vector_size(32)));
typedef int8_t ByteLanes __attribute__((vector_size(8)));
typedef int16_t WordLanes __attribute__((vector_size(16)));

constexpr size_t kLanes = 8;
constexpr uint32_t kMagnitude = 0x7FFFFFFF;

template <typename V, typename T>
[[gnu::always_inline]] inline V load_lanes(const T* p) {
  V v;
  memcpy(&v, p, sizeof(v));
  return v;
}

template <typename V, typename T>
[[gnu::always_inline]] inline void store_lanes(T* p, V v) {
  memcpy(p, &v, sizeof(v));
}

// `value` in all lanes; unlike a sum with 0, this keeps the sign of -0.
[[gnu::always_inline]] inline FloatLanes all_lanes(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof(bits));
  return reinterpret_cast<FloatLanes>(UintLanes{} + bits);
}

// Least distance, in elements, from which memory serves two places as separate streams.
constexpr size_t kFarApart = 8192;

// A copy of fewer elements than a whole step, padded with zeros.
template <size_t Step, typename T>
struct Padded {
  T lanes[Step] = {};
  Padded(const T* p, size_t count) { memcpy(lanes, p, count * sizeof(T)); }
};

// The hash "lowbias32" by C. Wellons, applied to counter * (2^32 / golden ratio). Half of the key
// is added at the beginning, the other half is mixed in after the first step. One hash makes two
// draws: the second is the first with its halves of 16 bits swapped.
template <typename Steps>
struct LaneDraws {
  static constexpr bool kHalves = false;
  UintLanes counter;
  UintLanes key;
  UintLanes hash = {};

  static constexpr uint32_t kGolden = 0x9E3779B9;
  explicit LaneDraws(const RandomStream& stream) {
    for (uint32_t i = 0; i < kLanes; ++i) {
      counter[i] = (stream.first + i) * kGolden + stream.key[0];
    }
    key = UintLanes{} + stream.key[1];
  }
  // Skips the draws of `count` elements, a multiple of 2 * kLanes.
  void skip(size_t count) { counter += static_cast<uint32_t>(count / 2) * kGolden; }
  // Draws for the next kLanes elements. Makes new hashes.
  [[gnu::always_inline]] UintLanes first() {
    UintLanes x = counter;
    counter += static_cast<uint32_t>(kLanes) * kGolden;
    x = ((x ^ x >> 16) ^ key) * 0x21F0AAADu;
    x = (x ^ x >> 15) * 0x735A2D97u;
    hash = x ^ x >> 15;
    return hash;
  }
  // Draws for the kLanes elements after those of first(), from the same hashes.
  [[gnu::always_inline]] UintLanes second() const { return Steps::swap_halves(hash); }
};

// Rounds to nearest: every draw is one half. kHalves makes halves round away from 0.
struct HalfDraws {
  static constexpr bool kHalves = true;
  static void skip(size_t) {}
  [[gnu::always_inline]] static UintLanes first() { return UintLanes{} + 0x80000000u; }
  [[gnu::always_inline]] static UintLanes second() { return first(); }
};

struct GenericByteSteps;

// The operations that an instruction set can do better:
//
//   struct Steps {
//     using Bytes = ...;  // steps of float_bytes.inl.hpp
//
//     static FloatLanes smaller(FloatLanes a, FloatLanes b);  // in each lane; `b` if one is NaN
//     static FloatLanes larger(FloatLanes a, FloatLanes b);
//     static UintLanes swap_halves(UintLanes v);  // swaps the 16-bit halves of each lane
//
//     // `magnitude` with the signs of `like`.
//     static IntLanes with_sign(IntLanes magnitude, FloatLanes like);
//
//     // Stores levels that fit into int8_t or int16_t. The lowest number of the type, which only
//     // elements far outside the grid give, becomes the one above it.
//     static void store_levels(const IntLanes (&v)[4], int8_t* out);  // and int16_t*
//     static IntLanes load_levels(const int8_t* p);                   // and const int16_t*
//
//     static unsigned highest_bits(IntLanes v);  // one bit per lane
//
//     // Writes index and value of the lanes in `mask`, packed together, and returns their number.
//     // May write kLanes entries.
//     static size_t keep(FloatLanes x, unsigned mask, uint32_t first, uint32_t* indices,
//                        float* values);
//   };
struct GenericFloatSteps {
  using Bytes = GenericByteSteps;  // of float_bytes.inl.hpp

  [[gnu::always_inline]] static FloatLanes smaller(FloatLanes a, FloatLanes b) {
    return a < b ? a : b;
  }
  [[gnu::always_inline]] static FloatLanes larger(FloatLanes a, FloatLanes b) {
    return a > b ? a : b;
  }
  [[gnu::always_inline]] static UintLanes swap_halves(UintLanes v) { return v << 16 | v >> 16; }
  [[gnu::always_inline]] static IntLanes with_sign(IntLanes magnitude, FloatLanes like) {
    const IntLanes negative = reinterpret_cast<IntLanes>(like) >> 31;
    return (magnitude ^ negative) - negative;
  }
  template <typename Level>
  [[gnu::always_inline]] static void store_levels(const IntLanes (&v)[4], Level* out) {
    constexpr int32_t kMost = sizeof(Level) == 1 ? 127 : 32767;
    for (size_t k = 0; k < 4; ++k) {
      const IntLanes level = v[k] > -kMost ? v[k] : IntLanes{} - kMost;
      for (size_t i = 0; i < kLanes; ++i) out[k * kLanes + i] = static_cast<Level>(level[i]);
    }
  }
  [[gnu::always_inline]] static IntLanes load_levels(const int8_t* p) {
    return __builtin_convertvector(load_lanes<ByteLanes>(p), IntLanes);
  }
  [[gnu::always_inline]] static IntLanes load_levels(const int16_t* p) {
    return __builtin_convertvector(load_lanes<WordLanes>(p), IntLanes);
  }
  [[gnu::always_inline]] static unsigned highest_bits(IntLanes v) {
    unsigned bits = 0;
    for (size_t i = 0; i < kLanes; ++i) bits |= static_cast<unsigned>(v[i] < 0) << i;
    return bits;
  }
  static size_t keep(FloatLanes x, unsigned mask, uint32_t first, uint32_t* indices,
                     float* values) {
    size_t kept = 0;
    for (uint32_t i = 0; i < kLanes; ++i) {
      indices[kept] = first + i;
      values[kept] = x[i];
      kept += mask >> i & 1;
    }
    return kept;
  }
};

}  // namespace
}  // namespace gradwire
