#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gradients/bucket_scales.hpp"
#include "gradients/float_reader.hpp"
#include "gradwire/gradient.hpp"

namespace gradwire {

/// A bit for each element, lowest first, in the form that the kernels for signs need: whole words
/// of 64 bits and two spare words. The spare words and an incomplete last word start as 0; all
/// others are uninitialized.
class BitArray {
 public:
  explicit BitArray(std::uint64_t count);

  std::uint64_t count() const { return count_; }
  /// The bytes that hold bits of elements.
  std::span<std::uint8_t> bytes() const;
  /// The byte that begins with the bit of element `first`, a multiple of 8.
  std::uint8_t* at(std::uint64_t first) const { return bytes_.get() + first / 8; }

 private:
  std::uint64_t count_;
  std::unique_ptr<std::uint8_t[]> bytes_;
};

/// The signs of a gradient and the scales of its buckets. What they lose is the next residual.
class Signs {
 public:
  /// Reports elements that are not finite before any element of the residual changes.
  Signs(const GradientView& gradient, const GradientOptions& options);

  const BitArray& negative() const { return negative_; }
  const BitArray& nonzero() const { return nonzero_; }
  /// Number of elements that are not 0.
  std::uint64_t sent() const { return sent_; }
  /// The scales as they are sent.
  const std::vector<float>& scales() const { return scales_; }

 private:
  void find_signs(std::uint64_t begin, std::uint64_t end);
  BucketStats stats_of(std::uint64_t begin, std::size_t count) const;
  void feed_back(int threads) const;

  FloatReader reader_;
  Quantizer quantizer_;
  std::uint64_t bucket_;
  std::uint64_t piece_;
  BitArray negative_;
  BitArray nonzero_;
  std::uint64_t sent_ = 0;
  std::vector<float> scales_;
};

}  // namespace gradwire
