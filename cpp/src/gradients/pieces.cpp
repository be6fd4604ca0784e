#include "gradients/pieces.hpp"

namespace gradwire {

std::uint64_t piece_size(const FloatReader& reader, std::uint64_t bucket) {
  // Draws continue from one piece of a bucket to the next only if the pieces begin at multiples of
  // kDrawnTogether.
  const bool is_even = bucket % kDrawnTogether == 0 || bucket >= reader.count();
  return reader.is_in_place() && is_even ? kPart : kPiece;
}

void check_finite(const FloatReader& reader, int threads) {
  for_each_part(reader.count(), threads, [&](std::size_t, std::uint64_t begin, std::uint64_t end) {
    const auto check = [&](std::uint64_t, std::span<const float> x) {
      bucket_stats(x, Norm::kOne, reader);
    };
    reader.for_each_piece(begin, end, kPiece, &FloatReader::gradient, check);
  });
}

std::vector<BucketStats> measure(const FloatReader& reader, std::uint64_t bucket, Norm norm,
                                 int threads) {
  const std::uint64_t piece = piece_size(reader, bucket);
  const auto measure_part = [&](std::uint64_t begin, std::uint64_t end, const auto& add) {
    for_each_bucket(begin, end, bucket, [&](std::size_t b, std::uint64_t first, std::size_t size) {
      const auto look_at = [&](std::uint64_t, std::span<const float> x) {
        add(b, bucket_stats(x, norm, reader));
      };
      reader.for_each_piece(first, first + size, piece, &FloatReader::read, look_at);
    });
  };
  return stats_of_buckets(reader.count(), bucket, threads, measure_part);
}

}  // namespace gradwire
