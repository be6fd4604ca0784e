#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "codec_table.hpp"
#include "crc32c.hpp"
#include "gradwire/array.hpp"

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

/// How the chunks of a frame are coded. Nothing of it: they are stored raw.
struct Coding {
  std::unique_ptr<Encoder> own;
  const Encoder* encoder = nullptr;  ///< `own`, or that of a shared code book
  std::vector<std::uint8_t> shared;  ///< the name of that

  std::span<const std::uint8_t> code_book() const {
    return own ? own->code_book() : std::span<const std::uint8_t>(shared);
  }
};

/// Writes one frame: head, directory, payloads, code book, code length, checksum. What it is made
/// of must stay.
class FrameWriter {
 public:
  /// If the view has no data, the elements are those of array `number` of a source.
  FrameWriter(const ArrayView& view, const Options& options, std::span<std::uint8_t> out,
              const ElementSource* source = nullptr, std::size_t number = 0);

  /// Writes all of it, from an array in memory; returns the size.
  std::size_t write();
  std::size_t write_raw();

  const ChunkedArray& array() const { return array_; }
  /// Bytes of the frame if it is stored raw.
  std::size_t raw_size() const;
  /// With the shared code book, if there is one for this array.
  Coding choose_coding() const;

  /// Writes what comes before the payloads.
  ChunkTrack open(const Coding& coding);
  /// Writes what comes after them; returns the size.
  std::size_t close(const WrittenChunks& chunks, const Coding& coding);

 private:
  WrittenChunks write_payloads(const Coding& coding);

  ArrayView view_;
  const Options& options_;
  std::span<std::uint8_t> out_;
  const Codec& codec_;
  ChunkedArray array_;
  std::vector<std::uint64_t> overhangs_;
  std::uint8_t* payloads_ = nullptr;
};

}  // namespace gradwire
