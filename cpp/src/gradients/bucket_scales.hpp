#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradients/float_reader.hpp"
#include "gradwire/gradient.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {

/// The size of buckets that a quantizer's bucket size stands for: 0 means one bucket.
constexpr std::uint64_t used_bucket_size(std::uint64_t size, std::uint64_t count) {
  return size == 0 || size > count ? (count == 0 ? 1 : count) : size;
}
constexpr std::uint64_t bucket_count(std::uint64_t count, std::uint64_t bucket) {
  return count / bucket + (count % bucket != 0);
}

/// Statistics of the elements of a bucket; those of its pieces can be added up.
struct BucketStats {
  FloatStats floats{};
  std::uint64_t count = 0;      ///< number of elements; for signs, of those that are not 0
  std::uint64_t negatives = 0;  ///< for signs, the number of elements below 0
  SignSums signs{};             ///< valid for kTwoMeans only

  void add(const BucketStats& more);
};

/// Counts all elements in `count` and leaves `negatives` at 0. Has `reader`, which has read the
/// elements, report those that are not finite.
BucketStats bucket_stats(std::span<const float> x, Norm norm, const FloatReader& reader);

constexpr std::size_t scales_per_bucket(Norm norm) {
  return norm == Norm::kOne ? 0 : norm == Norm::kTwoMeans ? 2 : 1;
}

/// The scales of a bucket as they are sent. Scales of levels are bounds and are rounded up; scales
/// of signs are means and are rounded to nearest.
struct Scales {
  float value[2];
};
Scales scales_of(const BucketStats& stats, const Quantizer& quantizer);

/// How elements become levels in a bucket with this scale; and the value of one level.
LevelGrid level_grid(float scale, const Quantizer& quantizer);
inline float level_unit(float scale, unsigned levels) { return scale / static_cast<float>(levels); }
/// Whether the levels are int16, not int8.
constexpr bool are_wide(unsigned levels) { return levels > kMostNarrowLevels; }
/// Calls f(LevelKernels<T>) with the type T of the levels.
template <typename F>
void with_level_kernels(bool wide, const F& f) {
  const FloatKernels& floats = kernels().floats;
  if (wide) {
    f(floats.wide_levels);
  } else {
    f(floats.levels);
  }
}
/// The values, times `factor`, that the signs of a bucket with `number` scales stand for: first
/// that of elements above 0, then that of elements below 0.
struct SignValues {
  float value[2];
};
SignValues sign_values(const float* scales, std::size_t number, float factor);

/// The value of level 1 of kPowers if exponents are counted from `base`.
float power_unit(std::int32_t base);

/// Whether a number from a frame is a valid scale: finite and not negative.
bool is_scale(float number);

/// The scales of kLog8 are a grid of kLog8Steps values: 2^(step / 8 - 96), in float32.
inline constexpr std::uint32_t kLog8Steps = 8 * (96 + 128);
float log8_scale(std::uint32_t step);

/// The codes of such scales (FORMAT.md, section 9.2): 0 stands for the scale 0, 1 for step `first`,
/// 2 for the step after it.
struct Log8Codes {
  std::vector<std::uint16_t> code;
  std::uint32_t first;
};
Log8Codes log8_codes(std::span<const float> scales);

}  // namespace gradwire
