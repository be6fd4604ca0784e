#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gradients/bucket_scales.hpp"
#include "gradients/float_reader.hpp"
#include "gradwire/gradient.hpp"

namespace gradwire {

/// A bit for each element, lowest first, as the kernels of signs take them: whole words of 64 bits
/// and two more. Bits of the last word that no element has are 0; others have no value at first.
class BitArray {
 public:
  explicit BitArray(std::uint64_t count);

  std::uint64_t count() const { return count_; }
  /// The bytes that have bits of elements.
  std::span<std::uint8_t> bytes() const;
  /// From the byte of element `first` on, a multiple of 8.
  std::uint8_t* at(std::uint64_t first) const { return bytes_.get() + first / 8; }

 private:
  std::uint64_t count_;
  std::unique_ptr<std::uint8_t[]> bytes_;
};

/// The signs of a gradient and the scales of its buckets. What they lose becomes the residual.
class Signs {
 public:
  /// Throws NotFinite, before the first residual changes.
  Signs(const GradientView& gradient, std::uint64_t count, const GradientOptions& options);

  const BitArray& negative() const { return negative_; }
  const BitArray& nonzero() const { return nonzero_; }
  /// Elements that are not 0.
  std::uint64_t sent() const { return sent_; }
  std::uint64_t bucket_size() const { return bucket_; }
  /// As sent.
  std::span<const float> scales() const { return scales_; }

 private:
  /// What a part has seen of a bucket that goes on in another one.
  struct Cut {
    std::size_t bucket;
    BucketStats stats;
  };

  std::vector<Cut> look_at_part(std::uint64_t begin, std::uint64_t end);
  void find_signs(std::uint64_t begin, std::uint64_t end);
  BucketStats stats_of(std::uint64_t begin, std::size_t count) const;
  void put_scales(std::size_t bucket, const BucketStats& stats);
  void feed_back(int threads) const;

  FloatReader reader_;
  Quantizer quantizer_;
  std::uint64_t count_;
  std::uint64_t bucket_;
  std::uint64_t block_;  ///< elements whose signs are found before their scales
  std::uint64_t piece_;
  BitArray negative_;
  BitArray nonzero_;
  std::uint64_t sent_ = 0;
  std::vector<float> scales_;
};

}  // namespace gradwire
