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

/// Number of elements that are summed at once: kPiece or kPart. The last bit of a sum may depend on
/// it.
std::uint64_t piece_size(const FloatReader& reader, std::uint64_t bucket);

/// Reports elements of the gradient, without the residual, that are not finite.
void check_finite(const FloatReader& reader, int threads);

/// Statistics of all buckets, with the residual. Reports elements that are not finite.
std::vector<BucketStats> measure(const FloatReader& reader, std::uint64_t bucket, Norm norm,
                                 int threads);

}  // namespace gradwire
