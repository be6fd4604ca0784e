#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/executor.hpp"
#include "gradients/bucket_scales.hpp"

namespace gradwire {

// How a gradient is divided. This depends on the gradient alone, never on the number of threads.

/// Number of elements of a part, which one thread treats.
inline constexpr std::uint64_t kPart = std::uint64_t{1} << 18;

constexpr std::size_t part_count(std::uint64_t count) {
  return static_cast<std::size_t>(count / kPart + (count % kPart != 0));
}

/// Calls f(number of the part, first element, end) for all parts, on several threads.
template <typename F>
void for_each_part(std::uint64_t count, int threads, const F& f) {
  for_each(part_count(count), usable_threads(threads),
           [&](std::size_t i) { f(i, i * kPart, std::min(count, (i + 1) * kPart)); });
}

/// Calls f(bucket, first element, number of elements) for each bucket, or piece of one, in a range.
template <typename F>
void for_each_bucket(std::uint64_t begin, std::uint64_t end, std::uint64_t bucket, const F& f) {
  for (std::uint64_t first = begin; first < end;) {
    const std::uint64_t b = first / bucket;
    const std::uint64_t stop = end - b * bucket < bucket ? end : (b + 1) * bucket;
    f(static_cast<std::size_t>(b), first, static_cast<std::size_t>(stop - first));
    first = stop;
  }
}

/// Statistics of all buckets. `measure_part(begin, end, add)` calls add(bucket, statistics) for
/// each bucket, or piece of one, in a part.
template <typename F>
std::vector<BucketStats> stats_of_buckets(std::uint64_t count, std::uint64_t bucket, int threads,
                                          const F& measure_part) {
  // Per part: the buckets that begin in it, and the one that continues into it.
  std::vector<std::vector<BucketStats>> found(part_count(count));
  for_each_part(count, threads, [&](std::size_t i, std::uint64_t begin, std::uint64_t end) {
    found[i].resize((end - 1) / bucket - begin / bucket + 1);
    measure_part(begin, end, [&](std::size_t b, const BucketStats& stats) {
      found[i][b - begin / bucket].add(stats);
    });
  });
  std::vector<BucketStats> all(bucket_count(count, bucket));
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (std::size_t k = 0; k < found[i].size(); ++k) all[i * kPart / bucket + k].add(found[i][k]);
  }
  return all;
}

/// Number of elements that are summed at once: kPiece or kPart. The last bit of a sum may depend on
/// it.
std::uint64_t piece_size(const FloatReader& reader, std::uint64_t bucket);

/// Reports elements of the gradient, without the residual, that are not finite.
void check_finite(const FloatReader& reader, int threads);

/// Statistics of all buckets, with the residual. Reports elements that are not finite.
std::vector<BucketStats> measure(const FloatReader& reader, std::uint64_t bucket, Norm norm,
                                 int threads);

}  // namespace gradwire
