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

/// First element of stream i of so many; that of stream `streams` is the end. Streams begin an odd
/// number of cache lines apart, because places that differ by a large power of two share few cache
/// sets.
constexpr std::size_t stream_begin(std::size_t elements, std::size_t i, std::size_t streams) {
  if (i == streams) return elements;
  const std::size_t each = 64 * (elements / (64 * kMaxStreams) | 1);
  return i * each;
}
constexpr std::size_t stream_begin(std::size_t elements, std::size_t i) {
  return stream_begin(elements, i, stream_count(elements));
}

/// Bytes before the streams: the size of each but the last.
constexpr std::size_t stream_header_bytes(std::size_t elements) {
  return (stream_count(elements) - 1) * kStreamSizeBytes;
}

/// The same for the tokens of a class (FORMAT.md, section 5.5). A short sequence of bytes says
/// neither how many tokens it has, nor has it more than one stream.
inline constexpr std::size_t kShortSequence = std::size_t{1} << 12;
constexpr std::size_t token_stream_count(std::size_t tokens) {
  return tokens < kShortSequence ? 1 : kMaxStreams;
}

}  // namespace gradwire
