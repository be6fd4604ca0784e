#pragma once

#include <cstdint>
#include <vector>

#include "bucket_scales.hpp"
#include "element_source.hpp"
#include "float_reader.hpp"
#include "gradwire/array.hpp"
#include "gradwire/gradient.hpp"

namespace gradwire {

/// Quantizes a gradient on its way to a codec: elements are levels (int8) or eight signs (uint8).
class QuantizingSource final : public ElementSource {
 public:
  /// Reads the gradient once if scales cannot be found bucket by bucket on the way.
  /// Throws NotFinite, as all others do.
  QuantizingSource(const GradientView& gradient, std::uint64_t count,
                   const GradientOptions& options);

  DType dtype() const { return is_signs() ? DType::kUInt8 : DType::kInt8; }
  std::uint64_t elements() const { return is_signs() ? (count_ + 7) / 8 : count_; }

  void preview(std::size_t array, std::uint64_t begin, std::uint64_t end,
               std::uint8_t* out) const override;
  void take(std::uint64_t begin, std::uint64_t end, std::uint8_t* const* outs) const override;

  /// When all has been taken: the scales, as sent.
  std::span<const float> scales() const { return scales_; }
  /// Biased exponent of level 0 of kPowers.
  std::int32_t base() const { return base_; }
  std::uint64_t bucket_size() const { return bucket_; }

 private:
  enum class Turn : bool { kPreview, kFinal };

  bool is_signs() const { return quantizer_.method == Method::kSigns; }
  void measure(int threads);
  void check_finite(int threads) const;
  void make(std::uint64_t begin, std::uint64_t end, std::uint8_t* out, Turn turn) const;
  void quantize_piece(const float* x, std::uint64_t first, std::size_t count, std::uint8_t* out,
                      Turn turn) const;
  void quantize_bucket(const float* x, std::uint64_t first, std::size_t count, const float* scale,
                       std::uint8_t* out, Turn turn) const;
  RandomStream random(std::uint64_t first) const;

  FloatReader reader_;
  Quantizer quantizer_;
  std::uint64_t count_;
  std::uint64_t bucket_;
  std::uint64_t stream_;
  bool on_the_way_;      ///< buckets lie in one piece, and in one preview: scales are found there
  std::uint64_t piece_;  ///< elements treated at once; the last bit of sums may depend on it
  mutable std::vector<float> scales_;
  std::int32_t base_ = 0;
};

}  // namespace gradwire
