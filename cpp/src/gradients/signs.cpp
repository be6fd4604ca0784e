#include "gradients/signs.hpp"

#include <algorithm>
#include <cstring>
#include <map>

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
  block_ = kPiece % bucket_ == 0 || quantizer_.norm == Norm::kOne ? kPiece : kPart;
  piece_ = piece_size(reader_, bucket_);
  scales_.resize(bucket_count(count, bucket_) * scales_per_bucket(quantizer_.norm));
  const int threads = options.codec.threads;
  if (reader_.has_residual()) check_finite(reader_, threads);
  std::vector<std::vector<Cut>> cuts(part_count(count));
  for_each_part(count, threads, [&](std::size_t i, std::uint64_t begin, std::uint64_t end) {
    cuts[i] = look_at_part(begin, end);
  });
  std::map<std::size_t, BucketStats> whole;
  for (const std::vector<Cut>& part : cuts) {
    for (const Cut& cut : part) whole[cut.bucket].add(cut.stats);
  }
  for (const auto& [bucket, stats] : whole) put_scales(bucket, stats);
  sent_ = kernels().floats.count_ones(nonzero_.at(0), 0, static_cast<std::size_t>(count));
  if (reader_.has_residual()) feed_back(threads);
}

/// Finds the signs of a part, and the scales of the buckets that lie entirely in it. Returns the
/// statistics of the other buckets.
std::vector<Signs::Cut> Signs::look_at_part(std::uint64_t begin, std::uint64_t end) {
  std::vector<Cut> cuts;
  BucketStats stats;
  for (std::uint64_t first = begin; first < end; first += block_) {
    const std::uint64_t last = std::min(end, first + block_);
    find_signs(first, last);
    for_each_bucket(first, last, bucket_, [&](std::size_t b, std::uint64_t place, std::size_t n) {
      stats.add(stats_of(place, n));
      const std::uint64_t stop = place + n;
      const bool ends = stop == reader_.count() || stop == (b + 1) * bucket_;
      if (!ends && stop != end) return;
      if (ends && b * bucket_ >= begin) {
        put_scales(b, stats);
      } else {
        cuts.push_back({b, stats});
      }
      stats = {};
    });
  }
  return cuts;
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

void Signs::put_scales(std::size_t bucket, const BucketStats& stats) {
  const std::size_t each = scales_per_bucket(quantizer_.norm);
  const Scales scales = scales_of(stats, quantizer_);
  std::copy_n(scales.value, each, scales_.begin() + static_cast<std::ptrdiff_t>(bucket * each));
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
