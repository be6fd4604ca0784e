#include "gradients/pieces.hpp"

#include "gradients/bucket_scales.hpp"

namespace gradwire {

std::uint64_t piece_size(const FloatReader& reader, std::uint64_t bucket, std::uint64_t count) {
  // Draws continue from one piece of a bucket to the next only if the pieces begin at multiples of
  // kDrawnTogether.
  const bool is_even = bucket % kDrawnTogether == 0 || bucket >= count;
  return reader.is_in_place() && is_even ? kPart : kPiece;
}

void check_finite(const FloatReader& reader, std::uint64_t count, int threads) {
  for_each_part(count, threads, [&](std::size_t, std::uint64_t begin, std::uint64_t end) {
    float scratch[kPiece];
    for (std::uint64_t first = begin; first < end; first += kPiece) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, end - first));
      bucket_stats({reader.gradient(first, size, scratch), size}, Norm::kOne);
    }
  });
}

}  // namespace gradwire
