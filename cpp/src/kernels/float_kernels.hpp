#pragma once

// Kernels on float32 gradients; see READ ME FIRST in kernels.hpp. Results have the same bits on
// every instruction set: sums have a fixed order, and products are rounded before they are added.

#include <stddef.h>
#include <stdint.h>

namespace gradwire {

/// What quantizers know about some elements. `largest` holds the bits of the largest magnitude; NaN
/// counts as larger than infinity.
struct FloatStats {
  double sum;
  double sum_of_squares;
  double sum_of_magnitudes;
  uint32_t largest;
};
/// The sums of the magnitudes of the elements above 0 and of those below 0.
struct SignSums {
  double above;
  double below;
};
inline constexpr uint32_t kInfinityBits = 0x7F800000;

/// Number of elements that are summed in float32 before the sum is added to a float64.
inline constexpr size_t kStatsBlock = 512;

/// Counter-based random numbers: hash n depends only on the key and n, and makes two draws.
/// kDrawnTogether draws are made at once, from half as many hashes.
inline constexpr size_t kDrawnTogether = 16;
struct RandomStream {
  uint32_t key[2];
  uint32_t first;  ///< number of the first hash
};

/// How elements become levels: element * `factor` is the level in fixed point, with kLevelBits
/// fraction bits for levels of int8 and kWideLevelBits for those of int16, so that the largest
/// level and its fraction fill 31 bits. If `clips`, products are clipped to [-cap, cap]; otherwise
/// all lie within.
inline constexpr unsigned kLevelBits = 24;
inline constexpr unsigned kWideLevelBits = 16;
struct LevelGrid {
  float factor;
  float cap;
  bool clips;
};

/// `Level` is int8_t or int16_t.
template <typename Level>
struct LevelKernels {
  /// Writes levels from -127 to 127 (int16_t: -32767 to 32767), whatever `x` holds. Rounds at
  /// random or, if `random` is null, to nearest, with halves away from 0.
  void (*quantize)(const float* x, size_t count, const LevelGrid* grid, const RandomStream* random,
                   Level* levels);

  /// out = factor * level, or out += factor * level if `add`.
  void (*dequantize)(const Level* levels, size_t count, float factor, bool add, float* out);
};

/// Number of elements past those used that FloatKernels::put_nonzeros may read.
inline constexpr size_t kSpareNonzeros = 8;

struct FloatKernels {
  /// Convert elements of other types to float32.
  void (*from_float16)(const uint8_t* elements, size_t count, float* out);
  void (*from_bfloat16)(const uint8_t* elements, size_t count, float* out);
  void (*from_float64)(const uint8_t* elements, size_t count, float* out);

  /// Add the elements to `stats`. `squares` updates only `sum_of_squares` and `largest`.
  void (*stats)(const float* x, size_t count, FloatStats* stats);
  void (*squares)(const float* x, size_t count, FloatStats* stats);
  void (*sign_sums)(const float* x, size_t count, SignSums* sums);

  /// out = gamma * x + beta * residual, limited to the largest finite magnitude. `out` may be
  /// `residual`.
  void (*combine)(const float* x, size_t count, float gamma, float beta, const float* residual,
                  float* out);

  LevelKernels<int8_t> levels;
  LevelKernels<int16_t> wide_levels;

  /// Writes two bits per element, lowest first: whether it is below 0, and whether it is not 0.
  void (*signs)(const float* x, size_t count, uint8_t* negative, uint8_t* nonzero);

  /// out = value[negative bit], or 0 where the nonzero bit is 0; if `add`, adds that to `out`.
  /// Reads both bit arrays from bit `first` on. `nonzero` may be null: then no element is 0.
  void (*from_signs)(const uint8_t* negative, const uint8_t* nonzero, size_t first, size_t count,
                     const float value[2], bool add, float* out);

  /// Packs the bits of `bits` at which `mask` is 1 together in `kept`, followed by zeros. `bits`
  /// and `mask` are whole words of 64 bits, with zeros past `count` in `mask`; `kept` has room for
  /// two words more than it needs.
  void (*keep_bits)(const uint8_t* bits, const uint8_t* mask, size_t count, uint8_t* kept);

  /// The inverse of keep_bits: puts the bits of `kept`, from bit `first` on, back to the places at
  /// which `mask` is 1. Bits past `kept_end` count as 0.
  void (*spread_bits)(const uint8_t* kept, const uint8_t* kept_end, size_t first,
                      const uint8_t* mask, size_t count, uint8_t* bits);

  /// Rounds magnitudes at random to powers of two (Horvath et al., 2019). A level is the biased
  /// exponent minus `base`, limited to 0 to 127, with the sign of the element.
  void (*to_powers)(const float* x, size_t count, int32_t base, const RandomStream* random,
                    int8_t* levels);
  void (*from_powers)(const int8_t* levels, size_t count, int32_t base, float factor, bool add,
                      float* out);

  /// Writes the index (counted from `first`) and the value of each element whose magnitude is at
  /// least `threshold`, which is positive. Returns their number; may write 8 entries past them.
  size_t (*select)(const float* x, size_t count, float threshold, uint32_t first, uint32_t* indices,
                   float* values);

  /// The number of magnitudes that are at least `threshold`, which is positive.
  size_t (*count_above)(const float* x, size_t count, float threshold);

  /// Writes a bit per element (width 2, 4 or 8 bytes), lowest first: whether any of its bits is 1.
  /// Returns the number of such elements.
  size_t (*nonzero_bits)(const uint8_t* elements, size_t count, size_t width, uint8_t* bits);

  /// Writes the elements of which any bit is 1; `kept` is their number.
  void (*keep_nonzeros)(const uint8_t* elements, size_t count, size_t width, size_t kept,
                        uint8_t* out);

  /// Writes `count` elements: the next one of `nonzeros` where a bit, from bit `first` on, is 1,
  /// and zero elsewhere. Returns the number taken from `nonzeros`; may read kSpareNonzeros past
  /// them.
  size_t (*put_nonzeros)(const uint8_t* bits, size_t first, size_t count, size_t width,
                         const uint8_t* nonzeros, uint8_t* out);

  /// The number of ones among `count` bits from bit `first` on.
  size_t (*count_ones)(const uint8_t* bits, size_t first, size_t count);

  /// Rotates each element (width 2, 4 or 8 bytes) left by one bit and writes its byte k to plane k.
  /// The exponent then starts at the top of the last plane; the sign is the lowest bit of plane 0.
  /// `join` is the inverse.
  void (*split)(const uint8_t* elements, size_t count, size_t width, uint8_t* const* planes);
  void (*join)(const uint8_t* const* planes, size_t count, size_t width, uint8_t* elements);
};

}  // namespace gradwire
