#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/byte_io.hpp"
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
inline constexpr unsigned kChunkLog2 = 18;  ///< log2 of elements per chunk, as written here
inline constexpr unsigned kMaxChunkLog2 = 20;
inline constexpr std::size_t kMaxDimensions = 64;

/// The part of a frame that holds one chunk.
struct ChunkEntry {
  std::span<const std::uint8_t> payload;
  bool raw;
};

/// The parts of a frame, checked: every span lies within the frame, and together they cover it.
struct ParsedFrame {
  const Codec* codec;
  Layout layout;
  DType dtype;
  bool checksum;
  bool shared_code_book;  ///< code_book holds the name of a shared one
  std::vector<std::uint64_t> shape;
  std::uint64_t count;
  std::span<const std::uint8_t> code_book;
  std::vector<std::uint64_t> borders;  ///< as in ChunkedArray
  std::vector<ChunkEntry> chunks;
  std::uint64_t code_length;
  std::uint32_t stored_crc;            ///< at the end of the frame, if it has a checksum
  std::span<const std::uint8_t> head;  ///< the bytes before the first payload
  std::span<const std::uint8_t> tail;  ///< the bytes from the last payload's end to the checksum

  std::uint64_t nbytes() const { return count * item_size(dtype); }
  CodedArray array() const { return {dtype, count, layout}; }
};

/// Parses what sections 2, 3 and 6 of FORMAT.md describe; decodes nothing. Uses the checksum only
/// to tell damage from an unknown format; check_crc verifies it.
ParsedFrame parse_frame(std::span<const std::uint8_t> frame, Extent extent = Extent::kFrame);

/// Throws CorruptFrameError if the frame has a checksum that does not match; `payloads` is the CRC
/// of all payloads.
void check_crc(const ParsedFrame& frame, const Crc32c& payloads);

/// Throws CorruptFrameError if the frame has a checksum that does not match.
void verify_checksum(std::span<const std::uint8_t> frame, const ParsedFrame& parsed);

/// Product of the shape, 1 for an empty one. Throws std::length_error above 2^62 bytes.
std::uint64_t element_count(std::span<const std::uint64_t> shape, DType dtype);

/// Chunk borders for `count` elements: border i + 1 lies `overhangs[i]` elements past the nominal
/// one, i + 1 times the chunk size. Throws CorruptFrameError if borders are out of order.
std::vector<std::uint64_t> chunk_borders(std::uint64_t count, unsigned chunk_log2,
                                         std::span<const std::uint64_t> overhangs);

}  // namespace gradwire
