#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradwire/gradient.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {

/// What is known of the elements of a bucket; parts that were looked at apart can be added up.
struct BucketStats {
  FloatStats floats{};
  std::uint64_t count = 0;      ///< elements; of signs, those that are not 0
  std::uint64_t negatives = 0;  ///< signs: elements below 0
  SignSums signs{};             ///< right for kTwoMeans only

  void add(const BucketStats& more);
};

/// Counts all elements, but no negative ones. Throws NotFinite if an element is NaN or infinite.
BucketStats bucket_stats(std::span<const float> x, Norm norm);
struct NotFinite {};

constexpr std::size_t scales_per_bucket(Norm norm) {
  return norm == Norm::kOne ? 0 : norm == Norm::kTwoMeans ? 2 : 1;
}

/// The scales of a bucket as the frame will have them. Those of levels are bounds, and rounded up;
/// those of signs are means, and rounded to the nearest.
struct Scales {
  float value[2];
};
Scales scales_of(const BucketStats& stats, const Quantizer& quantizer);

/// How elements become levels, for buckets of this scale, which is not 0; and what one level is
/// worth.
LevelGrid level_grid(float scale, const Quantizer& quantizer);
inline float level_unit(float scale, unsigned levels) { return scale / static_cast<float>(levels); }
/// What the signs of a bucket with so many scales stand for, times a factor: that of elements above
/// 0, and that of those below.
struct SignValues {
  float value[2];
};
SignValues sign_values(const float* scales, std::size_t number, float factor);

/// What level 1 of kPowers is worth, if exponents are counted from `base`.
float power_unit(std::int32_t base);

/// Whether a number from a frame can be a scale: finite and not negative.
bool is_scale(float number);

/// Scales of the grid of kLog8: 2^(step / 8 - 96), in float32.
inline constexpr std::uint32_t kLog8Steps = 8 * (96 + 128);
float log8_scale(std::uint32_t step);

/// The numbers that stand for such scales (FORMAT.md, section 9.2): 0 for 0, and 1 for `first`.
struct Log8Codes {
  std::vector<std::uint16_t> code;
  std::uint32_t first;
};
Log8Codes log8_codes(std::span<const float> scales);

}  // namespace gradwire
