#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "codecs/codec_table.hpp"
#include "frame/chunk_writer.hpp"
#include "gradwire/array.hpp"

namespace gradwire {

/// How the chunks of a frame are coded. By default, they are stored raw.
struct Coding {
  std::unique_ptr<Encoder> own;
  const Encoder* encoder = nullptr;  ///< `own`, or the encoder of a shared code book
  std::vector<std::uint8_t> shared;  ///< the name of the shared code book, if any

  std::span<const std::uint8_t> code_book() const {
    return own ? own->code_book() : std::span<const std::uint8_t>(shared);
  }
};

/// Writes one frame: head, directory, payloads, code book, code length, checksum. What its
/// arguments refer to must outlive it.
class FrameWriter {
 public:
  /// If the view has no data, the elements are those of array `number` of `source`.
  FrameWriter(const ArrayView& view, const Options& options, std::span<std::uint8_t> out,
              const ElementSource* source = nullptr, std::size_t number = 0);

  /// Says that the array is a small part of something larger, as the scales of a gradient are.
  void set_minor() { array_.is_minor = true; }

  /// Writes the whole frame of an array in memory and returns its size. write_raw() codes nothing.
  std::size_t write();
  std::size_t write_raw();

  const ChunkedArray& array() const { return array_; }
  /// Size in bytes of the frame if all chunks are raw.
  std::size_t raw_size() const;
  /// Uses the shared code book of the options if it fits this array.
  Coding choose_coding() const;

  /// Writes what comes before the chunk directory; returns where directory and payloads go.
  ChunkTrack open(const Coding& coding);
  /// Writes what comes after the payloads; returns the size of the frame.
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
