#include "quantizing_source.hpp"

#include <algorithm>
#include <bit>

#include "executor.hpp"
#include "frame_header.hpp"
#include "mix.hpp"

namespace gradwire {
namespace {

constexpr unsigned kStreamLog2 = 18;  // draws of one stream of random numbers
constexpr std::uint64_t kMeasured = std::uint64_t{1} << 18;  // elements that a thread looks at
static_assert(kMeasured == 1u << kStreamLog2 && kChunkLog2 == kStreamLog2);  // no piece has two
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
  scales_.resize(is_powers ? 0 : buckets * scales_per_bucket(quantizer_.norm));
  on_the_way_ = !is_powers && (kPreviewed % bucket_ == 0 || scales_.empty());
  // Buckets whose scales are found on the way shall be in the cache when they become levels.
  const bool is_even = bucket_ % kDrawnTogether == 0 || bucket_ >= count;
  piece_ = reader_.is_in_place() && is_even && !on_the_way_ ? kMeasured : kPiece;
  const int threads = usable_threads(options.codec.threads);
  // An element that is not finite must be found before the first residual has changed.
  if (reader_.has_residual()) check_finite(threads);
  if (!on_the_way_) measure(threads);
}

void QuantizingSource::check_finite(int threads) const {
  const auto parts = static_cast<std::size_t>((count_ + kMeasured - 1) / kMeasured);
  for_each(parts, threads, [&](std::size_t i) {
    float scratch[kPiece];
    const std::uint64_t end = std::min(count_, (i + 1) * kMeasured);
    for (std::uint64_t first = i * kMeasured; first < end; first += kPiece) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, end - first));
      bucket_stats({reader_.gradient(first, size, scratch), size}, Norm::kOne);
    }
  });
}

void QuantizingSource::measure(int threads) {
  const auto parts = static_cast<std::size_t>((count_ + kMeasured - 1) / kMeasured);
  const std::uint64_t buckets = (count_ + bucket_ - 1) / bucket_;
  // Of the buckets that begin in each part, and of the one that goes on there.
  std::vector<std::vector<BucketStats>> found(parts);
  for_each(parts, threads, [&](std::size_t i) {
    float scratch[kPiece];
    const std::uint64_t begin = i * kMeasured;
    const std::uint64_t end = std::min(count_, begin + kMeasured);
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
  for (std::size_t i = 0; i < parts; ++i) {
    for (std::size_t k = 0; k < found[i].size(); ++k) {
      stats[i * kMeasured / bucket_ + k].add(found[i][k]);
    }
  }
  if (quantizer_.method == Method::kPowers) {
    const std::uint32_t largest = stats.empty() ? 0 : stats[0].floats.largest;
    // Rounding may carry to the next power.
    const auto exponent = static_cast<std::int32_t>(largest >> 23) + 1;
    base_ = std::max(0, exponent - kMostPower);
    return;
  }
  const std::size_t each = scales_per_bucket(quantizer_.norm);
  for (std::uint64_t b = 0; b < buckets; ++b) {
    const Scales scales = scales_of(stats[b], quantizer_);
    std::copy_n(scales.value, each, &scales_[b * each]);
  }
}

RandomStream QuantizingSource::random(std::uint64_t first) const {
  const std::uint64_t key = mix(stream_ ^ mix(first >> kStreamLog2));
  const auto place = static_cast<std::uint32_t>(first & ((1u << kStreamLog2) - 1));
  // Two draws share a hash. Draws from a multiple of kDrawnTogether on go on with those before it,
  // so that pieces may have any such length; those of other buckets have numbers of their own.
  const std::uint32_t hash = place % kDrawnTogether == 0 ? place / 2 : (1u << kStreamLog2) + place;
  return {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)}, hash};
}

void QuantizingSource::quantize_bucket(const float* x, std::uint64_t first, std::size_t count,
                                       const float* scale, std::uint8_t* out, Turn turn) const {
  const FloatKernels& floats = kernels().floats;
  auto* const levels = reinterpret_cast<std::int8_t*>(out);
  const RandomStream draws = random(first);
  const bool feeds_back = turn == Turn::kFinal && reader_.has_residual();
  if (quantizer_.method == Method::kPowers) {
    floats.to_powers(x, count, base_, &draws, levels);
    if (feeds_back) floats.from_powers(levels, count, base_, -1, true, reader_.residual(first));
    return;
  }
  if (*scale == 0) {  // nothing but zeros, as in embeddings
    std::fill_n(levels, count, std::int8_t{0});
    return;
  }
  const LevelGrid grid = level_grid(*scale, quantizer_);
  floats.quantize(x, count, &grid, quantizer_.stochastic ? &draws : nullptr, levels);
  if (!feeds_back) return;
  const float unit = level_unit(*scale, quantizer_.levels);
  floats.dequantize(levels, count, -unit, true, reader_.residual(first));
}

void QuantizingSource::quantize_piece(const float* x, std::uint64_t first, std::size_t count,
                                      std::uint8_t* out, Turn turn) const {
  const std::size_t each = scales_per_bucket(quantizer_.norm);
  if (is_signs()) kernels().floats.signs(x, count, out);
  if (on_the_way_ && scales_.empty()) bucket_stats({x, count}, quantizer_.norm);
  for (std::uint64_t place = first; place < first + count;) {
    const std::uint64_t b = place / bucket_;
    const std::uint64_t stop = std::min((b + 1) * bucket_, first + count);
    const auto size = static_cast<std::size_t>(stop - place);
    const float* const part = x + (place - first);
    Scales found{};
    if (on_the_way_ && !scales_.empty()) {
      found = scales_of(bucket_stats({part, size}, quantizer_.norm), quantizer_);
      if (turn == Turn::kFinal) std::copy_n(found.value, each, &scales_[b * each]);
    } else if (each > 0 && !scales_.empty()) {
      std::copy_n(&scales_[b * each], each, found.value);
    }
    if (!is_signs()) {
      quantize_bucket(part, place, size, found.value, out + (place - first), turn);
    } else if (turn == Turn::kFinal && reader_.has_residual()) {
      float value[2];
      sign_values(found.value, quantizer_.norm, value);
      const float minus[2] = {-value[0], -value[1]};
      kernels().floats.from_signs(out, place - first, size, minus, true, reader_.residual(place));
    }
    place = stop;
  }
}

void QuantizingSource::make(std::uint64_t begin, std::uint64_t end, std::uint8_t* out,
                            Turn turn) const {
  const std::uint64_t each = is_signs() ? 8 : 1;  // elements of the gradient in one of the array
  const std::uint64_t last = std::min(end * each, count_);
  float scratch[kPiece];
  for (std::uint64_t first = begin * each; first < last; first += piece_) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(piece_, last - first));
    const float* const x = turn == Turn::kFinal ? reader_.take(first, size, scratch)
                                                : reader_.read(first, size, scratch);
    quantize_piece(x, first, size, out + (first / each - begin), turn);
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
