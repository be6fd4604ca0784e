#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "kernels/kernels.hpp"

namespace gradwire {

/// Large chunks are cut into streams of about equal numbers of elements, so that a decoder can work
/// on several code words at once (FORMAT.md, section 5.3).
inline constexpr std::size_t kSingleStreamBelow = std::size_t{1} << 14;  // elements of a chunk
inline constexpr std::size_t kStreamSizeBytes = 4;

constexpr std::size_t stream_count(std::size_t elements) {
  return elements < kSingleStreamBelow ? 1 : kMaxStreams;
}

/// First element of stream i; for i == streams, the end of the last one. Streams begin an odd
/// number of cache lines apart, because addresses that differ by a large power of two share few
/// cache sets.
constexpr std::size_t stream_begin(std::size_t elements, std::size_t i, std::size_t streams) {
  if (i == streams) return elements;
  const std::size_t each = 64 * (elements / (64 * kMaxStreams) | 1);
  return i * each;
}
constexpr std::size_t stream_begin(std::size_t elements, std::size_t i) {
  return stream_begin(elements, i, stream_count(elements));
}

/// Bytes before the streams: the sizes of all streams but the last.
constexpr std::size_t stream_header_bytes(std::size_t elements) {
  return (stream_count(elements) - 1) * kStreamSizeBytes;
}

/// Tokens of a class are cut into streams in the same way (FORMAT.md, section 5.5). Fewer tokens
/// than this form a single stream, and a sequence of fewer bytes does not store its number of
/// tokens.
inline constexpr std::size_t kShortSequence = std::size_t{1} << 12;
constexpr std::size_t token_stream_count(std::size_t tokens) {
  return tokens < kShortSequence ? 1 : kMaxStreams;
}

}  // namespace gradwire
