#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/crc32c.hpp"
#include "codecs/codec_table.hpp"

namespace gradwire {

/// Chunks of so many elements.
std::size_t chunk_count(std::uint64_t elements);

/// Where the chunks of a frame go: their payloads, close together, and their directory entries.
struct ChunkTrack {
  const Encoder* encoder;  ///< null: they are stored raw
  DType dtype;
  std::uint8_t* directory;
  std::uint8_t* payloads;
};

/// What has become of them.
struct WrittenChunks {
  std::size_t size = 0;
  std::uint64_t code_length = 0;
  Crc32c crc;  ///< of all payloads
};

/// Writes the chunks of an array in memory, or those of all arrays of its source, each to its
/// track.
std::vector<WrittenChunks> write_chunks(const ChunkedArray& array,
                                        std::span<const ChunkTrack> tracks);

}  // namespace gradwire
