#pragma once

#include <cstdint>
#include <vector>

#include "base/element_source.hpp"
#include "gradients/bucket_scales.hpp"
#include "gradients/float_reader.hpp"
#include "gradwire/gradient.hpp"

namespace gradwire {

/// Quantizes a gradient to int8 or int16 on its way to a codec. The constructors, preview() and
/// take() throw std::invalid_argument if an element is not finite; if there is a residual, before
/// it changes.
class QuantizingSource : public ElementSource {
 public:
  std::uint64_t count() const { return reader_.count(); }
  DType dtype() const { return dtype_; }  ///< of the levels
  void preview(std::size_t, std::uint64_t begin, std::uint64_t end, std::uint8_t* out) const final {
    make(begin, end, out, Turn::kPreview);
  }
  void take(std::uint64_t begin, std::uint64_t end, std::uint8_t* const* outs) const final {
    make(begin, end, outs[0], Turn::kFinal);
  }

 protected:
  enum class Turn : bool { kPreview, kFinal };

  QuantizingSource(const GradientView& gradient, const GradientOptions& options,
                   std::uint64_t bucket_size, DType dtype);
  /// Quantizes the elements `x` of one bucket, which begin at `first`. In their final turn, feeds
  /// back what that loses.
  virtual void quantize(std::size_t bucket, std::uint64_t first, std::span<const float> x,
                        std::uint8_t* levels, Turn turn) const = 0;
  bool feeds_back(Turn turn) const { return turn == Turn::kFinal && reader_.has_residual(); }
  RandomStream random(std::uint64_t first) const;

  FloatReader reader_;
  Quantizer quantizer_;
  std::uint64_t bucket_;
  std::uint64_t piece_;  ///< number of elements treated at once

 private:
  void make(std::uint64_t begin, std::uint64_t end, std::uint8_t* out, Turn turn) const;

  std::uint64_t stream_;
  DType dtype_;
};

/// The levels of kLevels.
class LevelSource final : public QuantizingSource {
 public:
  /// Reads the whole gradient beforehand if the scales cannot be found bucket by bucket on the way.
  LevelSource(const GradientView& gradient, const GradientOptions& options);

  /// The scales as they are sent; complete once all elements have been taken.
  const std::vector<float>& scales() const { return scales_; }

 private:
  void quantize(std::size_t bucket, std::uint64_t first, std::span<const float> x,
                std::uint8_t* levels, Turn turn) const override;

  bool on_the_way_;  ///< no piece or preview cuts a bucket, so scales are found with the levels
  mutable std::vector<float> scales_;
};

/// The signed exponents of kPowers.
class PowerSource final : public QuantizingSource {
 public:
  PowerSource(const GradientView& gradient, const GradientOptions& options);

  /// Biased exponent of level 0.
  std::int32_t base() const { return base_; }

 private:
  void quantize(std::size_t, std::uint64_t first, std::span<const float> x, std::uint8_t* levels,
                Turn turn) const override;

  std::int32_t base_ = 0;
};

}  // namespace gradwire
