#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/crc32c.hpp"
#include "codecs/codec_table.hpp"

namespace gradwire {

/// Number of chunks of an array with this many elements.
std::size_t chunk_count(std::uint64_t elements);

/// Where the chunks of a frame go: their payloads, without gaps, and their directory entries.
struct ChunkTrack {
  const Encoder* encoder;  ///< null: chunks are stored raw
  DType dtype;
  std::uint8_t* directory;
  std::uint8_t* payloads;
};

/// The result of writing the chunks of a track.
struct WrittenChunks {
  std::size_t size = 0;  ///< bytes of all payloads
  std::uint64_t code_length = 0;
  Crc32c crc;  ///< of all payloads
};

/// Writes the chunks of an array in memory, or those of all arrays of its source: array k to track
/// k.
std::vector<WrittenChunks> write_chunks(const ChunkedArray& array,
                                        std::span<const ChunkTrack> tracks);

}  // namespace gradwire
