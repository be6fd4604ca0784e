#include "gradients/quantizing_source.hpp"

#include <algorithm>

#include "base/splitmix.hpp"
#include "gradients/pieces.hpp"

namespace gradwire {
namespace {

constexpr unsigned kStreamLog2 = 18;  // log2 of the number of draws of one random stream
// A piece never spans two random streams.
static_assert(kPart == 1u << kStreamLog2 && kChunkLog2 == kStreamLog2);
constexpr std::int32_t kMostPower = 127;

}  // namespace

QuantizingSource::QuantizingSource(const GradientView& gradient, const GradientOptions& options,
                                   std::uint64_t bucket_size, DType dtype)
    : reader_(gradient, options),
      quantizer_(options.quantizer),
      bucket_(used_bucket_size(bucket_size, reader_.count())),
      piece_(piece_size(reader_, bucket_)),
      stream_(options.stream),
      dtype_(dtype) {
  // An element that is not finite must be found before any element of the residual changes.
  if (reader_.has_residual()) check_finite(reader_, options.codec.threads);
}

RandomStream QuantizingSource::random(std::uint64_t first) const {
  const std::uint64_t key = mix(stream_ ^ mix(first >> kStreamLog2));
  const auto place = static_cast<std::uint32_t>(first & ((1u << kStreamLog2) - 1));
  // Two draws share a hash. From a multiple of kDrawnTogether on, draws continue those before it,
  // so that a piece may end at any such place. Draws that begin elsewhere use other hash numbers.
  const std::uint32_t hash = place % kDrawnTogether == 0 ? place / 2 : (1u << kStreamLog2) + place;
  return {{static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)}, hash};
}

void QuantizingSource::make(std::uint64_t begin, std::uint64_t end, std::uint8_t* out,
                            Turn turn) const {
  const auto read = turn == Turn::kFinal ? &FloatReader::take : &FloatReader::read;
  reader_.for_each_piece(begin, end, piece_, read, [&](std::uint64_t piece, auto x) {
    const auto make_part = [&](std::size_t b, std::uint64_t first, std::size_t count) {
      std::uint8_t* const levels = out + (first - begin) * item_size(dtype_);
      quantize(b, first, x.subspan(first - piece, count), levels, turn);
    };
    for_each_bucket(piece, piece + x.size(), bucket_, make_part);
  });
}

LevelSource::LevelSource(const GradientView& gradient, const GradientOptions& options)
    : QuantizingSource(gradient, options, options.quantizer.bucket_size,
                       are_wide(options.quantizer.levels) ? DType::kInt16 : DType::kInt8),
      on_the_way_(kPreviewed % bucket_ == 0),
      scales_(bucket_count(reader_.count(), bucket_)) {
  if (on_the_way_) {
    piece_ = kPiece;  // a bucket should still be in the cache when its scale is known
    return;
  }
  const auto stats = measure(reader_, bucket_, quantizer_.norm, options.codec.threads);
  std::ranges::transform(stats, scales_.begin(), [&](const BucketStats& of_bucket) {
    return scales_of(of_bucket, quantizer_).value[0];
  });
}

void LevelSource::quantize(std::size_t bucket, std::uint64_t first, std::span<const float> x,
                           std::uint8_t* levels, Turn turn) const {
  float scale = scales_[bucket];
  if (on_the_way_) {
    scale = scales_of(bucket_stats(x, quantizer_.norm, reader_), quantizer_).value[0];
    if (turn == Turn::kFinal) scales_[bucket] = scale;
  }
  const LevelGrid grid = level_grid(scale, quantizer_);
  const RandomStream draws = random(first);
  const auto use = [&]<typename Level>(const LevelKernels<Level>& floats) {
    auto* const out = reinterpret_cast<Level*>(levels);
    floats.quantize(x.data(), x.size(), &grid, quantizer_.stochastic ? &draws : nullptr, out);
    if (!feeds_back(turn)) return;
    const float unit = level_unit(scale, quantizer_.levels);
    floats.dequantize(out, x.size(), -unit, true, reader_.residual(first));
  };
  with_level_kernels(are_wide(quantizer_.levels), use);
}

PowerSource::PowerSource(const GradientView& gradient, const GradientOptions& options)
    : QuantizingSource(gradient, options, 0, DType::kInt8) {
  for (const BucketStats& stats : measure(reader_, bucket_, Norm::kMax, options.codec.threads)) {
    // Rounding may carry into the next power.
    const auto exponent = static_cast<std::int32_t>(stats.floats.largest >> 23) + 1;
    base_ = std::max(0, exponent - kMostPower);
  }
}

void PowerSource::quantize(std::size_t, std::uint64_t first, std::span<const float> x,
                           std::uint8_t* out, Turn turn) const {
  const FloatKernels& floats = kernels().floats;
  auto* const levels = reinterpret_cast<std::int8_t*>(out);
  const RandomStream draws = random(first);
  floats.to_powers(x.data(), x.size(), base_, &draws, levels);
  if (!feeds_back(turn)) return;
  floats.from_powers(levels, x.size(), base_, -1, true, reader_.residual(first));
}

}  // namespace gradwire
