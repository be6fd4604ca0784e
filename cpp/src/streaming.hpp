#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "codec_table.hpp"
#include "frame_header.hpp"

namespace gradwire {

// Frames of arrays that need not lie in memory as a whole.

/// An array of bytes that a source makes.
struct StreamedArray {
  DType dtype;
  bool is_coded;  ///< or stored raw
};

/// Bytes that the frame of a streamed array of `count` elements may need.
std::size_t max_streamed_size(std::uint64_t count);

/// Writes a frame for each array of a source to `out`, one behind the other, and returns their
/// sizes. The codec entropy takes each chunk when it codes it; for others all is made first.
std::vector<std::size_t> compress_source(const ElementSource& source,
                                         std::span<const StreamedArray> arrays, std::uint64_t count,
                                         const Options& options, std::span<std::uint8_t> out);

/// Writes the frame of an array in memory; nothing is coded.
std::size_t store_into(const ArrayView& array, const Options& options, std::span<std::uint8_t> out);

/// Decodes a frame chunk by chunk. Immutable, so that threads may share it. The frame must stay.
class ChunkReader {
 public:
  /// Verifies the checksum.
  explicit ChunkReader(std::span<const std::uint8_t> frame);

  const ParsedFrame& frame() const { return parsed_; }
  std::size_t chunks() const { return parsed_.chunks.size(); }
  std::size_t chunk_elements(std::size_t i) const {
    return static_cast<std::size_t>(parsed_.borders[i + 1] - parsed_.borders[i]);
  }
  /// Decodes chunk i to `out`.
  void decode(std::size_t i, std::uint8_t* out) const;
  /// The elements of chunk i: a part of the frame, or decoded to `buffer`, which grows if it must.
  const std::uint8_t* read(std::size_t i, std::vector<std::uint8_t>& buffer) const;
  /// Calls use(index of its first element, elements) for each chunk that is not empty, on several
  /// threads, in any order.
  void for_each_chunk(int threads,
                      const std::function<void(std::size_t, const Elements&)>& use) const;
  /// The same for several arrays with the same chunks: use(index, elements of each array).
  static void for_each_chunk(std::span<const ChunkReader> readers, int threads,
                             const std::function<void(std::size_t, const Elements*)>& use);

 private:
  const std::uint8_t* readable_end_;
  ParsedFrame parsed_;
  std::shared_ptr<const Decoder> decoder_;
};

}  // namespace gradwire
