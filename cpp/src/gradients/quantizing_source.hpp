#pragma once

#include <cstdint>
#include <vector>

#include "base/element_source.hpp"
#include "gradients/bucket_scales.hpp"
#include "gradients/float_reader.hpp"
#include "gradwire/gradient.hpp"

namespace gradwire {

/// Quantizes a gradient on its way to a codec, to the int8 levels of kLevels or kPowers.
class QuantizingSource final : public ElementSource {
 public:
  /// Reads the whole gradient beforehand if the scales cannot be found bucket by bucket on the way.
  /// Throws NotFinite, as do preview() and take().
  QuantizingSource(const GradientView& gradient, std::uint64_t count,
                   const GradientOptions& options);

  void preview(std::size_t array, std::uint64_t begin, std::uint64_t end,
               std::uint8_t* out) const override;
  void take(std::uint64_t begin, std::uint64_t end, std::uint8_t* const* outs) const override;

  /// The scales as they are sent; complete once all elements have been taken.
  std::span<const float> scales() const { return scales_; }
  /// Biased exponent of level 0 of kPowers.
  std::int32_t base() const { return base_; }
  std::uint64_t bucket_size() const { return bucket_; }

 private:
  enum class Turn : bool { kPreview, kFinal };

  void measure(int threads);
  void make(std::uint64_t begin, std::uint64_t end, std::uint8_t* out, Turn turn) const;
  float scale_of(std::size_t bucket, std::span<const float> x, Turn turn) const;
  void quantize_bucket(const float* x, std::uint64_t first, std::size_t count, float scale,
                       std::int8_t* levels, Turn turn) const;
  RandomStream random(std::uint64_t first) const;

  FloatReader reader_;
  Quantizer quantizer_;
  std::uint64_t count_;
  std::uint64_t bucket_;
  std::uint64_t stream_;
  bool on_the_way_;      ///< no piece or preview cuts a bucket, so scales are found in make()
  std::uint64_t piece_;  ///< number of elements treated at once
  mutable std::vector<float> scales_;
  std::int32_t base_ = 0;
};

}  // namespace gradwire
