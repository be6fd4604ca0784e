#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/crc32c.hpp"
#include "codecs/codec_table.hpp"

namespace gradwire {

inline constexpr std::uint8_t kMagic[2] = {'G', 'W'};
inline constexpr std::uint8_t kGradientMagic = 'F';  ///< second byte of gradient frames
inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::size_t kFlagsOffset = 3;
inline constexpr std::uint8_t kChecksumFlag = 1;
inline constexpr std::uint8_t kSharedBookFlag = 2;
inline constexpr std::size_t kFixedHeaderBytes = 9;
inline constexpr std::size_t kChunkEntryBytes = 4;
inline constexpr std::uint32_t kRawChunkFlag = std::uint32_t{1} << 31;
inline constexpr std::size_t kChecksumBytes = 4;
inline constexpr unsigned kChunkLog2 = 18;  ///< of the frames that this library writes
inline constexpr unsigned kMaxChunkLog2 = 20;
inline constexpr std::size_t kMaxDimensions = 64;

/// A place of the frame that holds one chunk.
struct ChunkEntry {
  std::span<const std::uint8_t> payload;
  bool raw;
};

/// A frame taken apart and checked: every span lies inside the frame's bytes, and they cover it.
struct ParsedFrame {
  const Codec* codec;
  Layout layout;
  DType dtype;
  bool checksum;
  bool shared_code_book;  ///< code_book is the name of one
  std::vector<std::uint64_t> shape;
  std::uint64_t count;
  std::span<const std::uint8_t> code_book;
  std::vector<std::uint64_t> borders;  ///< as in ChunkedArray
  std::vector<ChunkEntry> chunks;
  std::uint64_t code_length;
  std::uint32_t stored_crc;            ///< what the frame ends with, if it has a checksum
  std::span<const std::uint8_t> head;  ///< the bytes before the first payload
  std::span<const std::uint8_t> tail;  ///< those from the last payload's end up to the checksum

  std::uint64_t nbytes() const { return count * item_size(dtype); }
  CodedArray array() const { return {dtype, count, layout}; }
};

/// Reads FORMAT.md's sections 2, 3 and 6; decodes nothing. The checksum is looked at only to tell
/// damage from an unknown format: otherwise see check_crc.
ParsedFrame parse_frame(std::span<const std::uint8_t> frame);

/// Throws CorruptFrameError unless `payloads`, the sum of all payloads, fits the frame's checksum.
void check_crc(const ParsedFrame& frame, const Crc32c& payloads);

/// Throws CorruptFrameError unless the checksum, if there is one, is that of the frame.
void verify_checksum(std::span<const std::uint8_t> frame, const ParsedFrame& parsed);

/// Product of the shape, 1 for an empty one. Throws std::length_error past 2^62 bytes.
std::uint64_t element_count(std::span<const std::uint64_t> shape, DType dtype);

/// Chunk borders for `count` elements, `overhangs[i]` past each multiple of the chunk size.
std::vector<std::uint64_t> chunk_borders(std::uint64_t count, unsigned chunk_log2,
                                         std::span<const std::uint64_t> overhangs);

}  // namespace gradwire
