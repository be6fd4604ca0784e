#include "gradients/quantizing_source.hpp"

#include <algorithm>
#include <bit>

#include "base/splitmix.hpp"
#include "frame/frame_header.hpp"
#include "gradients/pieces.hpp"

namespace gradwire {
namespace {

constexpr unsigned kStreamLog2 = 18;  // log2 of the number of draws of one random stream
// A piece never spans two random streams.
static_assert(kPart == 1u << kStreamLog2 && kChunkLog2 == kStreamLog2);
constexpr std::int32_t kMostPower = 127;

}  // namespace

QuantizingSource::QuantizingSource(const GradientView& gradient, std::uint64_t count,
                                   const GradientOptions& options)
    : reader_(gradient, options),
      quantizer_(options.quantizer),
      count_(count),
      bucket_(quantizer_.bucket_size),
      stream_(options.stream) {
  const bool is_powers = quantizer_.method == Method::kPowers;
  if (bucket_ == 0 || bucket_ > count || is_powers) bucket_ = std::max<std::uint64_t>(count, 1);
  const std::uint64_t buckets = (count + bucket_ - 1) / bucket_;
  scales_.resize(is_powers ? 0 : buckets);
  on_the_way_ = !is_powers && kPreviewed % bucket_ == 0;
  // Buckets whose scales are found on the way should still be in the cache when they become levels.
  piece_ = on_the_way_ ? kPiece : piece_size(reader_, bucket_, count);
  const int threads = options.codec.threads;
  // An element that is not finite must be found before any element of the residual changes.
  if (reader_.has_residual()) check_finite(reader_, count, threads);
  if (!on_the_way_) measure(threads);
}

void QuantizingSource::measure(int threads) {
  const std::uint64_t buckets = (count_ + bucket_ - 1) / bucket_;
  // Per part: statistics of the buckets that begin in it, and of the one that continues into it.
  std::vector<std::vector<BucketStats>> found(part_count(count_));
  for_each_part(count_, threads, [&](std::size_t i, std::uint64_t begin, std::uint64_t end) {
    float scratch[kPiece];
    found[i].resize((end - 1) / bucket_ - begin / bucket_ + 1);
    for (std::uint64_t first = begin; first < end;) {
      const std::uint64_t b = first / bucket_;
      const std::uint64_t stop = std::min({end, (b + 1) * bucket_, first + piece_});
      const auto size = static_cast<std::size_t>(stop - first);
      found[i][b - begin / bucket_].add(
          bucket_stats({reader_.read(first, size, scratch), size}, quantizer_.norm));
      first = stop;
    }
  });
  std::vector<BucketStats> stats(buckets);
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (std::size_t k = 0; k < found[i].size(); ++k) {
      stats[i * kPart / bucket_ + k].add(found[i][k]);
    }
  }
  if (quantizer_.method == Method::kPowers) {
    const std::uint32_t largest = stats.empty() ? 0 : stats[0].floats.largest;
    // Rounding may carry into the next power.
    const auto exponent = static_cast<std::int32_t>(largest >> 23) + 1;
    base_ = std::max(0, exponent - kMostPower);
    return;
  }
  for (std::uint64_t b = 0; b < buckets; ++b) {
    scales_[b] = scales_of(stats[b], quantizer_).value[0];
  }
}

RandomStream QuantizingSource::random(std::uint64_t first) const {
  const std::uint64_t key = mix(stream_ ^ mix(first >> kStreamLog2));
  const auto place = static_cast<std::uint32_t>(first & ((1u << kStreamLog2) - 1));
  // Two draws share a hash. From a multiple of kDrawnTogether on, draws continue those before it,
  // so that a piece may end at any such place. Draws that begin elsewhere use other hash numbers.
  const std::uint32_t hash = place % kDrawnTogether == 0 ? place / 2 : (1u << kStreamLog2) + place;
  return {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)}, hash};
}

void QuantizingSource::quantize_bucket(const float* x, std::uint64_t first, std::size_t count,
                                       float scale, std::int8_t* levels, Turn turn) const {
  const FloatKernels& floats = kernels().floats;
  const RandomStream draws = random(first);
  const bool feeds_back = turn == Turn::kFinal && reader_.has_residual();
  if (quantizer_.method == Method::kPowers) {
    floats.to_powers(x, count, base_, &draws, levels);
    if (feeds_back) floats.from_powers(levels, count, base_, -1, true, reader_.residual(first));
    return;
  }
  if (scale == 0) {  // all elements are 0, as is common in embeddings
    std::fill_n(levels, count, std::int8_t{0});
    return;
  }
  const LevelGrid grid = level_grid(scale, quantizer_);
  floats.quantize(x, count, &grid, quantizer_.stochastic ? &draws : nullptr, levels);
  if (!feeds_back) return;
  const float unit = level_unit(scale, quantizer_.levels);
  floats.dequantize(levels, count, -unit, true, reader_.residual(first));
}

/// The scale of a bucket; `x` holds its elements, which are needed if scales are found on the way.
float QuantizingSource::scale_of(std::size_t bucket, std::span<const float> x, Turn turn) const {
  if (scales_.empty()) return 0;
  if (!on_the_way_) return scales_[bucket];
  const float scale = scales_of(bucket_stats(x, quantizer_.norm), quantizer_).value[0];
  if (turn == Turn::kFinal) scales_[bucket] = scale;
  return scale;
}

void QuantizingSource::make(std::uint64_t begin, std::uint64_t end, std::uint8_t* out,
                            Turn turn) const {
  auto* const levels = reinterpret_cast<std::int8_t*>(out);
  float scratch[kPiece];
  for (std::uint64_t first = begin; first < end; first += piece_) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(piece_, end - first));
    const float* const x = turn == Turn::kFinal ? reader_.take(first, size, scratch)
                                                : reader_.read(first, size, scratch);
    const auto quantize = [&](std::size_t b, std::uint64_t place, std::size_t number) {
      const float* const part = x + (place - first);
      const float scale = scale_of(b, {part, number}, turn);
      quantize_bucket(part, place, number, scale, levels + (place - begin), turn);
    };
    for_each_bucket(first, first + size, bucket_, quantize);
  }
}

void QuantizingSource::preview(std::size_t, std::uint64_t begin, std::uint64_t end,
                               std::uint8_t* out) const {
  make(begin, end, out, Turn::kPreview);
}

void QuantizingSource::take(std::uint64_t begin, std::uint64_t end,
                            std::uint8_t* const* outs) const {
  make(begin, end, outs[0], Turn::kFinal);
}

}  // namespace gradwire
