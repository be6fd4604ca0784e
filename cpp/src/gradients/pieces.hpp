#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/executor.hpp"
#include "gradients/float_reader.hpp"

namespace gradwire {

// How a gradient is cut up. It depends on the gradient alone, never on the number of threads.

/// Elements that a thread treats at once.
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

/// Calls f(bucket, first element, number of elements) for the parts of buckets in a range.
template <typename F>
void for_each_bucket(std::uint64_t begin, std::uint64_t end, std::uint64_t bucket, const F& f) {
  for (std::uint64_t first = begin; first < end;) {
    const std::uint64_t b = first / bucket;
    const std::uint64_t stop = end - b * bucket < bucket ? end : (b + 1) * bucket;
    f(static_cast<std::size_t>(b), first, static_cast<std::size_t>(stop - first));
    first = stop;
  }
}

/// Elements whose sums are taken at once, kPiece or kPart; the last bit of a sum may depend on it.
std::uint64_t piece_size(const FloatReader& reader, std::uint64_t bucket, std::uint64_t count);

/// Throws NotFinite if an element of the gradient, without the residual, is NaN or infinite.
void check_finite(const FloatReader& reader, std::uint64_t count, int threads);

}  // namespace gradwire
