#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/kernels.hpp"

namespace gradwire {

/// Large chunks are cut into streams of equal numbers of elements, so that a decoder can follow
/// several code words at once (FORMAT.md, section 5.3).
inline constexpr std::size_t kSingleStreamBelow = std::size_t{1} << 14;  // elements
inline constexpr std::size_t kStreamSizeBytes = 4;

constexpr std::size_t stream_count(std::size_t elements) {
  return elements < kSingleStreamBelow ? 1 : kMaxStreams;
}

/// First element of stream i; stream_begin(n, stream_count(n)) is n. Streams begin an odd number of
/// cache lines apart, because places that differ by a large power of two share few cache sets.
constexpr std::size_t stream_begin(std::size_t elements, std::size_t i) {
  if (i == stream_count(elements)) return elements;
  const std::size_t each = 64 * (elements / (64 * kMaxStreams) | 1);
  return i * each;
}

/// Bytes before the streams: the size of each but the last.
constexpr std::size_t stream_header_bytes(std::size_t elements) {
  return (stream_count(elements) - 1) * kStreamSizeBytes;
}

}  // namespace gradwire
