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
  const std::uint64_t count = reader.count();
  const std::uint64_t piece = piece_size(reader, bucket);
  // Per part: statistics of the buckets that begin in it, and of the one that continues into it.
  std::vector<std::vector<BucketStats>> found(part_count(count));
  for_each_part(count, threads, [&](std::size_t i, std::uint64_t begin, std::uint64_t end) {
    found[i].reserve((end - 1) / bucket - begin / bucket + 1);
    for_each_bucket(begin, end, bucket, [&](std::size_t, std::uint64_t first, std::size_t size) {
      BucketStats& stats = found[i].emplace_back();
      const auto add = [&](std::uint64_t, std::span<const float> x) {
        stats.add(bucket_stats(x, norm, reader));
      };
      reader.for_each_piece(first, first + size, piece, &FloatReader::read, add);
    });
  });
  std::vector<BucketStats> all(bucket_count(count, bucket));
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (std::size_t k = 0; k < found[i].size(); ++k) all[i * kPart / bucket + k].add(found[i][k]);
  }
  return all;
}

}  // namespace gradwire
