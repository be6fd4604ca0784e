#pragma once

// Kernels on float32 gradients; see READ ME FIRST in kernels.hpp. Results are the same bits on
// every instruction set: sums have a fixed order, products are rounded before they are added.

#include <stddef.h>
#include <stdint.h>

namespace gradwire {

/// What quantizers know of some elements. `largest`: bits of the largest magnitude, in which NaN
/// lies above infinity.
struct FloatStats {
  double sum;
  double sum_of_squares;
  double sum_of_magnitudes;
  uint32_t largest;
};
/// Sums of magnitudes: of the elements above 0, and of those below 0.
struct SignSums {
  double above;
  double below;
};
inline constexpr uint32_t kInfinityBits = 0x7F800000;

/// Elements whose sums are taken in float32, before they are added up in float64.
inline constexpr size_t kStatsBlock = 512;

/// Random numbers by counter: hashes that depend on the key and their number alone. Each makes two
/// of kDrawnTogether draws.
inline constexpr size_t kDrawnTogether = 16;
struct RandomStream {
  uint32_t key[2];
  uint32_t first;  ///< number of the first hash
};

/// How elements become levels: times `factor`, in steps of 2^-kLevelBits of a level. Magnitudes
/// above `cap` then are cut off, or there are none.
inline constexpr unsigned kLevelBits = 24;
struct LevelGrid {
  float factor;
  float cap;
  bool clips;
};

/// Elements that may be read past those that are taken.
inline constexpr size_t kSpareNonzeros = 8;

struct FloatKernels {
  /// float32 values of elements of other types.
  void (*from_float16)(const uint8_t* elements, size_t count, float* out);
  void (*from_bfloat16)(const uint8_t* elements, size_t count, float* out);
  void (*from_float64)(const uint8_t* elements, size_t count, float* out);

  /// Adds up the elements; for `squares`, only their squares and the largest.
  void (*stats)(const float* x, size_t count, FloatStats* stats);
  void (*squares)(const float* x, size_t count, FloatStats* stats);
  void (*sign_sums)(const float* x, size_t count, SignSums* sums);

  /// out = gamma * x + beta * residual, where that is infinite the largest number. `out` may be
  /// `residual`.
  void (*combine)(const float* x, size_t count, float gamma, float beta, const float* residual,
                  float* out);

  /// Levels of -127 to 127, whatever `x` holds; rounds to nearest, half up in magnitude, if there
  /// is no stream.
  void (*quantize)(const float* x, size_t count, const LevelGrid* grid, const RandomStream* random,
                   int8_t* levels);

  /// out = factor * level, or out += that.
  void (*dequantize)(const int8_t* levels, size_t count, float factor, bool add, float* out);

  /// Two bits per element, lowest first: whether it is below 0, and whether it is not 0.
  void (*signs)(const float* x, size_t count, uint8_t* negative, uint8_t* nonzero);

  /// out = value[negative bit], but 0 where the nonzero bit is 0; or out += that. Both from bit
  /// `first` on. `nonzero` may be null: then no element is 0.
  void (*from_signs)(const uint8_t* negative, const uint8_t* nonzero, size_t first, size_t count,
                     const float value[2], bool add, float* out);

  /// Writes those of `bits` where `mask` has ones, one after the other, then zeros. `bits` and
  /// `mask` are whole words of 64 bits, with zeros past `count` in `mask`; `kept` has room for two
  /// words more than it needs.
  void (*keep_bits)(const uint8_t* bits, const uint8_t* mask, size_t count, uint8_t* kept);

  /// The opposite: takes what keep_bits has written from bit `first` on. Bits past `kept_end` are
  /// 0.
  void (*spread_bits)(const uint8_t* kept, const uint8_t* kept_end, size_t first,
                      const uint8_t* mask, size_t count, uint8_t* bits);

  /// Rounds magnitudes at random to powers of two (Horvath et al., 2019): their biased exponents
  /// less `base`, 0 to 127, with the element's sign.
  void (*to_powers)(const float* x, size_t count, int32_t base, const RandomStream* random,
                    int8_t* levels);
  void (*from_powers)(const int8_t* levels, size_t count, int32_t base, float factor, bool add,
                      float* out);

  /// Appends index (from `first` on) and value of the elements whose magnitude is at least
  /// `threshold`, which is positive. Returns their number; 8 entries more may be written.
  size_t (*select)(const float* x, size_t count, float threshold, uint32_t first, uint32_t* indices,
                   float* values);

  /// How many magnitudes are at least `threshold`, which is positive.
  size_t (*count_above)(const float* x, size_t count, float threshold);

  /// A bit per element (width 2, 4 or 8 bytes), lowest first: whether it has a bit that is 1.
  /// Returns how many have.
  size_t (*nonzero_bits)(const uint8_t* elements, size_t count, size_t width, uint8_t* bits);

  /// Writes the elements that have a bit that is 1; `kept` is their number.
  void (*keep_nonzeros)(const uint8_t* elements, size_t count, size_t width, size_t kept,
                        uint8_t* out);

  /// Writes `count` elements: the next of `nonzeros` where a bit, from bit `first` on, is 1, and
  /// zeros elsewhere. May read kSpareNonzeros more of `nonzeros`. Returns how many these are.
  size_t (*put_nonzeros)(const uint8_t* bits, size_t first, size_t count, size_t width,
                         const uint8_t* nonzeros, uint8_t* out);

  /// Ones among `count` bits from bit `first` on.
  size_t (*count_ones)(const uint8_t* bits, size_t first, size_t count);

  /// Plane k is byte k of each element (width 2, 4 or 8 bytes), rotated left by one bit. The last
  /// plane holds exponents, signs are in the first.
  void (*split)(const uint8_t* elements, size_t count, size_t width, uint8_t* const* planes);
  void (*join)(const uint8_t* const* planes, size_t count, size_t width, uint8_t* elements);
};

}  // namespace gradwire
