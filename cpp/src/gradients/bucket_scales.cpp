#include "gradients/bucket_scales.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace gradwire {
namespace {

/// The smallest scale of levels other than 0, so that levels / scale stays far from overflow; and
/// its biased exponent.
constexpr float kSmallestScale = 0x1p-96f;
constexpr std::uint32_t kSmallestBiased = 127 - 96;

/// Below this, a scale was not limited to the largest one, and is at least the norm.
constexpr float kLargeScale = 0x1p127f;

/// Powers of 2^(1/8), in float32.
constexpr float kEighths[8] = {0x1.000000p+0f, 0x1.172b84p+0f, 0x1.306fe0p+0f, 0x1.4bfdaep+0f,
                               0x1.6a09e6p+0f, 0x1.8ace54p+0f, 0x1.ae89fap+0f, 0x1.d5818ep+0f};
constexpr unsigned kEighthsBits = 23;  // bits of a float32 mantissa

/// Sums of squares outside these bounds may be inexact, because single squares are very small or
/// large.
constexpr double kLeastSquares = 1e-30;
constexpr double kMostSquares = 1e37;

void add_exactly(std::span<const float> x, BucketStats& stats) {
  FloatStats& floats = stats.floats;
  floats.sum = floats.sum_of_squares = floats.sum_of_magnitudes = 0;
  for (const float v : x) {
    floats.sum += v;
    floats.sum_of_squares += static_cast<double>(v) * v;
    floats.sum_of_magnitudes += std::fabs(v);
    (v < 0 ? stats.signs.below : stats.signs.above) += std::fabs(v);
  }
}

/// The lowest step of the grid whose scale is at least `scale`, which is not 0; or the last step.
std::uint16_t log8_step(float scale) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(std::max(scale, kSmallestScale));
  const std::uint32_t one = std::bit_cast<std::uint32_t>(1.0f);
  const auto mantissa = std::bit_cast<float>((bits & ((1u << kEighthsBits) - 1)) | one);
  std::uint32_t step = ((bits >> kEighthsBits) - kSmallestBiased) * 8;
  for (const float eighth : kEighths) step += mantissa > eighth;
  return static_cast<std::uint16_t>(std::min(step, kLog8Steps - 1));
}

/// The scale as a finite float32, even if it is NaN because another thread changes the gradient.
float finite(double scale) {
  constexpr double kMost = 0x1.fffff0p127;  // so that levels * (scale / levels) stays finite
  return static_cast<float>(std::min(kMost, scale));
}

/// The bfloat16 number whose bits are the upper half of `bits`, but at most the largest one.
float higher_half(std::uint32_t bits) {
  return std::bit_cast<float>(std::min(bits & 0xFFFF0000, std::uint32_t{0x7F7F0000}));
}

/// The lowest number of the type that is at least `scale`, or the largest one.
float round_up(double scale, ScaleType type) {
  if (scale == 0) return 0;
  const float single = std::max(finite(scale), kSmallestScale);
  if (type == ScaleType::kFloat32) return single;
  if (type == ScaleType::kLog8) return log8_scale(log8_step(single));
  return higher_half(std::bit_cast<std::uint32_t>(single) + 0xFFFF);
}

/// The number of the type that is nearest to `scale`.
float round_to_nearest(double scale, ScaleType type) {
  const float single = finite(scale);
  if (type == ScaleType::kFloat32 || single == 0) return single;
  if (type == ScaleType::kLog8) {
    const std::uint16_t step = log8_step(single);
    const float above = log8_scale(step);
    const float below = step == 0 ? above : log8_scale(step - 1u);
    return single - below < above - single ? below : above;
  }
  const auto bits = std::bit_cast<std::uint32_t>(single);
  return higher_half(bits + 0x7FFF + (bits >> 16 & 1));  // ties to even
}

double level_scale(const BucketStats& stats, const Quantizer& quantizer) {
  const double largest = std::bit_cast<float>(stats.floats.largest);
  const auto count = static_cast<double>(stats.count);
  switch (quantizer.norm) {
    case Norm::kL2: {
      const double norm = std::max(largest, std::sqrt(stats.floats.sum_of_squares));
      // When rounding to nearest, the largest element must not become 0: it would never be sent,
      // and error feedback would add it up forever.
      return quantizer.stochastic ? norm : std::min(norm, quantizer.levels * largest);
    }
    case Norm::kDeviations: {
      const double mean = stats.floats.sum / count;
      const double variance = stats.floats.sum_of_squares / count - mean * mean;
      const double clip = quantizer.deviations * std::sqrt(std::max(variance, 0.0));
      // Elements that are nearly equal must not be clipped to nothing.
      return std::min(largest, std::max(clip, std::sqrt(stats.floats.sum_of_squares / count)));
    }
    default: return largest;
  }
}

}  // namespace

void BucketStats::add(const BucketStats& more) {
  floats.sum += more.floats.sum;
  floats.sum_of_squares += more.floats.sum_of_squares;
  floats.sum_of_magnitudes += more.floats.sum_of_magnitudes;
  floats.largest = std::max(floats.largest, more.floats.largest);
  count += more.count;
  negatives += more.negatives;
  signs.above += more.signs.above;
  signs.below += more.signs.below;
}

BucketStats bucket_stats(std::span<const float> x, Norm norm, const FloatReader& reader) {
  BucketStats stats;
  stats.count = x.size();
  const bool squares_only =
      norm == Norm::kL2 || norm == Norm::kMax || norm == Norm::kOne || norm == Norm::kTwoMeans;
  const FloatKernels& floats = kernels().floats;
  (squares_only ? floats.squares : floats.stats)(x.data(), x.size(), &stats.floats);
  if (stats.floats.largest >= kInfinityBits) reader.report_nonfinite();
  const double squares = stats.floats.sum_of_squares;
  const bool doubtful = !(squares > kLeastSquares && squares < kMostSquares);
  if (doubtful && stats.floats.largest > 0) {
    add_exactly(x, stats);
  } else if (norm == Norm::kTwoMeans) {
    floats.sign_sums(x.data(), x.size(), &stats.signs);
  }
  return stats;
}

Scales scales_of(const BucketStats& stats, const Quantizer& quantizer) {
  const auto mean = [&](double sum, std::uint64_t count) {
    const ScaleType type = quantizer.scale_type;
    return count == 0 ? 0 : round_to_nearest(sum / static_cast<double>(count), type);
  };
  if (stats.floats.largest == 0) return {};
  switch (quantizer.norm) {
    case Norm::kOne: return {};
    case Norm::kMean: return {{mean(stats.floats.sum_of_magnitudes, stats.count), 0}};
    case Norm::kTwoMeans:
      return {{mean(stats.signs.above, stats.count - stats.negatives),
               mean(stats.signs.below, stats.negatives)}};
    default: return {{round_up(level_scale(stats, quantizer), quantizer.scale_type), 0}};
  }
}

LevelGrid level_grid(float scale, const Quantizer& quantizer) {
  const unsigned bits = are_wide(quantizer.levels) ? kWideLevelBits : kLevelBits;
  const float cap = static_cast<float>(quantizer.levels << bits);
  float factor = scale == 0 ? 0 : cap / scale;
  // With the factor rounded down, no element up to the scale exceeds the cap.
  const bool is_above = static_cast<double>(factor) * scale > cap;
  factor = std::bit_cast<float>(std::bit_cast<std::uint32_t>(factor) - is_above);
  // Elements may exceed a scale that was limited to the largest one.
  return {factor, cap, quantizer.norm == Norm::kDeviations || scale >= kLargeScale};
}

SignValues sign_values(const float* scales, std::size_t number, float factor) {
  if (number == 0) return {{factor, -factor}};
  const auto times = [&](float scale, float signed_factor) {
    return std::bit_cast<std::uint32_t>(scale) == 0 ? 0 : scale * signed_factor;
  };
  return {{times(scales[0], factor), times(scales[number - 1], -factor)}};
}

float power_unit(std::int32_t base) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(base + 1) << 23);
}

bool is_scale(float number) { return std::isfinite(number) && number >= 0; }

float log8_scale(std::uint32_t step) {
  const std::uint32_t biased = kSmallestBiased + step / 8;
  return std::bit_cast<float>(biased << kEighthsBits) * kEighths[step % 8];
}

Log8Codes log8_codes(std::span<const float> scales) {
  Log8Codes codes{{}, kLog8Steps - 1};
  codes.code.resize(scales.size());
  for (std::size_t i = 0; i < scales.size(); ++i) {
    if (scales[i] == 0) continue;
    const std::uint16_t step = log8_step(scales[i]);
    codes.code[i] = static_cast<std::uint16_t>(step + 1);
    codes.first = std::min<std::uint32_t>(codes.first, step);
  }
  for (std::uint16_t& code : codes.code) {
    code = static_cast<std::uint16_t>(code - (code == 0 ? 0 : codes.first));
  }
  return codes;
}

}  // namespace gradwire
