#include "gradients/signs.hpp"

#include <algorithm>
#include <cstring>

#include "gradients/gradient_header.hpp"
#include "gradients/pieces.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {

BitArray::BitArray(std::uint64_t count) : count_(count) {
  const auto words = static_cast<std::size_t>(count / 64 + 3);
  bytes_ = std::make_unique_for_overwrite<std::uint8_t[]>(8 * words);
  std::memset(bytes_.get() + 8 * (words - 3), 0, 3 * 8);
}

std::span<std::uint8_t> BitArray::bytes() const {
  return {bytes_.get(), static_cast<std::size_t>(bit_bytes(count_))};
}

Signs::Signs(const GradientView& gradient, const GradientOptions& options)
    : reader_(gradient, options),
      quantizer_(options.quantizer),
      bucket_(used_bucket_size(quantizer_.bucket_size, reader_.count())),
      negative_(reader_.count()),
      nonzero_(reader_.count()) {
  const std::uint64_t count = reader_.count();
  // Elements are read twice, for signs and for scales. Blocks of kPiece stay in the first-level
  // cache between the two, but are used only if they cut no bucket.
  const std::uint64_t block =
      kPiece % bucket_ == 0 || quantizer_.norm == Norm::kOne ? kPiece : kPart;
  piece_ = piece_size(reader_, bucket_);
  const int threads = options.codec.threads;
  if (reader_.has_residual()) check_finite(reader_, threads);
  const auto measure_part = [&](std::uint64_t begin, std::uint64_t end, const auto& add) {
    for (std::uint64_t first = begin; first < end; first += block) {
      const std::uint64_t last = std::min(end, first + block);
      find_signs(first, last);
      for_each_bucket(first, last, bucket_, [&](std::size_t b, std::uint64_t place, std::size_t n) {
        add(b, stats_of(place, n));
      });
    }
  };
  for (const BucketStats& stats : stats_of_buckets(count, bucket_, threads, measure_part)) {
    const Scales scales = scales_of(stats, quantizer_);
    scales_.insert(scales_.end(), scales.value, scales.value + scales_per_bucket(quantizer_.norm));
  }
  sent_ = kernels().floats.count_ones(nonzero_.at(0), 0, static_cast<std::size_t>(count));
  if (reader_.has_residual()) feed_back(threads);
}

void Signs::find_signs(std::uint64_t begin, std::uint64_t end) {
  const auto find = [&](std::uint64_t first, std::span<const float> x) {
    kernels().floats.signs(x.data(), x.size(), negative_.at(first), nonzero_.at(first));
  };
  reader_.for_each_piece(begin, end, kPiece, &FloatReader::take, find);
}

/// Statistics of elements of one bucket, whose signs have been found.
BucketStats Signs::stats_of(std::uint64_t begin, std::size_t count) const {
  BucketStats stats;
  const auto add = [&](std::uint64_t, std::span<const float> x) {
    stats.add(bucket_stats(x, quantizer_.norm, reader_));
  };
  reader_.for_each_piece(begin, begin + count, piece_, &FloatReader::taken, add);
  if (quantizer_.norm == Norm::kOne) return stats;
  const auto ones = [&](const BitArray& bits) {
    return kernels().floats.count_ones(bits.at(0), static_cast<std::size_t>(begin), count);
  };
  stats.count = ones(nonzero_);
  stats.negatives = ones(negative_);
  return stats;
}

void Signs::feed_back(int threads) const {
  const std::size_t each = scales_per_bucket(quantizer_.norm);
  const std::uint8_t* const nonzero = sent_ == reader_.count() ? nullptr : nonzero_.at(0);
  for_each_part(reader_.count(), threads, [&](std::size_t, std::uint64_t begin, std::uint64_t end) {
    for_each_bucket(begin, end, bucket_, [&](std::size_t b, std::uint64_t first, std::size_t n) {
      const SignValues lost = sign_values(scales_.data() + b * each, each, -1);
      kernels().floats.from_signs(negative_.at(0), nonzero, static_cast<std::size_t>(first), n,
                                  lost.value, true, reader_.residual(first));
    });
  });
}

}  // namespace gradwire
