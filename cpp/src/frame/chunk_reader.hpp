#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/elements.hpp"
#include "frame/frame_header.hpp"
#include "gradwire/frame.hpp"

namespace gradwire {

/// Decodes a frame chunk by chunk. Immutable, so that threads may share it. The frame must outlive
/// it.
class ChunkReader {
 public:
  /// Unless the checksum is ignored, reads the whole frame to verify it. `extent` is kPart if the
  /// frame is a part of another frame.
  explicit ChunkReader(std::span<const std::uint8_t> frame, Checksum checksum = Checksum::kVerified,
                       Extent extent = Extent::kFrame);

  const ParsedFrame& frame() const { return parsed_; }
  std::size_t chunks() const { return parsed_.chunks.size(); }
  std::size_t chunk_elements(std::size_t i) const {
    return static_cast<std::size_t>(parsed_.borders[i + 1] - parsed_.borders[i]);
  }
  /// Decodes chunk i to `out`.
  void decode(std::size_t i, std::uint8_t* out) const;
  /// Decodes all chunks to `out`, on several threads.
  void decode_all(std::uint8_t* out, int threads) const;
  /// The elements of chunk i, either in the frame itself or decoded to `room`.
  const std::uint8_t* read(std::size_t i, std::uint8_t* room) const;
  /// Calls use(index of the first element, elements) for each chunk that is not empty, on several
  /// threads, in any order.
  void for_each_chunk(int threads,
                      const std::function<void(std::size_t, const Elements&)>& use) const;
  /// Like the function above, for several frames with the same chunk borders: calls use(index,
  /// elements of each frame).
  static void for_each_chunk(std::span<const ChunkReader> readers, int threads,
                             const std::function<void(std::size_t, const Elements*)>& use);

 private:
  const std::uint8_t* readable_end_;
  ParsedFrame parsed_;
  std::shared_ptr<const Decoder> decoder_;  // null if the frame has no code book and needs none
};

}  // namespace gradwire
