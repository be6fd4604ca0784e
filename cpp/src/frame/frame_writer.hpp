#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "codecs/codec_table.hpp"
#include "frame/chunk_writer.hpp"
#include "gradwire/array.hpp"

namespace gradwire {

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
