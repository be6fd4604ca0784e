#include "frame/frame_header.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "base/byte_io.hpp"
#include "codecs/loaded_code_book.hpp"

namespace gradwire {
namespace {

[[noreturn]] void unsupported(const std::string& what, unsigned found) {
  throw UnsupportedFormatError("frame has " + what + " " + std::to_string(found) +
                               ", which this version of gradwire does not know");
}

}  // namespace

std::uint64_t element_count(std::span<const std::uint64_t> shape, DType dtype) {
  const std::uint64_t most = (std::uint64_t{1} << 62) / item_size(dtype);
  std::uint64_t count = 1;
  bool too_many = false;
  bool empty = false;
  for (const std::uint64_t dimension : shape) {
    empty = empty || dimension == 0;
    if (dimension == 0) continue;
    too_many = too_many || count > most / dimension;
    if (!too_many) count *= dimension;
  }
  if (empty && !too_many) return 0;
  if (too_many)
    throw std::length_error("the shape is too large: it stands for more than 2^62 bytes");
  return count;
}

std::vector<std::uint64_t> chunk_borders(std::uint64_t count, unsigned chunk_log2,
                                         std::span<const std::uint64_t> overhangs) {
  std::vector<std::uint64_t> borders = {0};
  if (count == 0) return borders;
  for (std::size_t i = 0; i < overhangs.size(); ++i) {
    const std::uint64_t nominal = static_cast<std::uint64_t>(i + 1) << chunk_log2;
    if (overhangs[i] > count - nominal || nominal + overhangs[i] < borders.back()) {
      throw CorruptFrameError("a chunk border is out of order or lies outside the array");
    }
    borders.push_back(nominal + overhangs[i]);
  }
  borders.push_back(count);
  return borders;
}

namespace {

constexpr const char* kDamaged = "frame is damaged: its checksum does not match its bytes";

/// Whether the frame has a checksum that does not match the bytes before it.
bool is_damaged(std::span<const std::uint8_t> frame) {
  if (frame.size() < kFixedHeaderBytes + kChecksumBytes) return false;
  if (!(frame[kFlagsOffset] & kChecksumFlag)) return false;
  ByteReader end(frame.last(kChecksumBytes));
  return Crc32c(frame.first(frame.size() - kChecksumBytes)).value() != end.u32();
}

ParsedFrame parse(std::span<const std::uint8_t> frame) {
  ByteReader reader(frame);
  const auto magic = reader.take(2);
  if (magic[0] == kMagic[0] && magic[1] == kGradientMagic) {
    throw CorruptFrameError(
        "this is a gradient frame; decode it with decompress_gradient or a Compressor");
  }
  if (magic[0] != kMagic[0] || magic[1] != kMagic[1]) {
    throw CorruptFrameError("not a gradwire frame: the first two bytes are not 'GW'");
  }
  const std::uint8_t version = reader.byte();
  if (version != kVersion) unsupported("format version", version);
  ParsedFrame parsed{};
  const std::uint8_t flags = reader.byte();
  if (flags & ~(kChecksumFlag | kSharedBookFlag)) unsupported("flags", flags);
  parsed.checksum = flags & kChecksumFlag;
  parsed.shared_code_book = flags & kSharedBookFlag;
  const std::uint8_t codec = reader.byte();
  parsed.codec = find_codec(codec);
  if (parsed.codec == nullptr) unsupported("codec", codec);
  const std::uint8_t layout = reader.byte();
  if (layout > (parsed.codec->has_pivot_layout ? 1 : 0)) unsupported("layout", layout);
  parsed.layout = static_cast<Layout>(layout);
  const std::uint8_t dtype = reader.byte();
  if (dtype >= kDTypeCount) unsupported("dtype", dtype);
  parsed.dtype = static_cast<DType>(dtype);
  const std::uint8_t chunk_log2 = reader.byte();
  if (chunk_log2 > kMaxChunkLog2) unsupported("chunk size exponent", chunk_log2);
  const std::uint8_t dimensions = reader.byte();
  if (dimensions > kMaxDimensions) unsupported("number of dimensions", dimensions);

  for (unsigned i = 0; i < dimensions; ++i) parsed.shape.push_back(reader.varint());
  try {
    parsed.count = element_count(parsed.shape, parsed.dtype);
  } catch (const std::length_error&) {
    throw CorruptFrameError("frame declares an array of more than 2^62 bytes");
  }
  const std::uint64_t code_book_size = reader.varint();
  if (parsed.shared_code_book &&
      (!parsed.codec->shares_code_books || code_book_size != kBookNameBytes)) {
    throw CorruptFrameError(
        "frame has an invalid shared code book name: only entropy may have one, of 8 bytes");
  }

  // Every chunk has an entry, so that a short frame cannot declare a long array.
  const std::uint64_t chunks =
      (parsed.count >> chunk_log2) + ((parsed.count & ((std::uint64_t{1} << chunk_log2) - 1)) != 0);
  if (chunks > reader.left() / kChunkEntryBytes) {
    throw TruncatedFrameError("frame is truncated: it declares " + std::to_string(parsed.count) +
                              " elements in " + std::to_string(chunks) + " chunks, but has only " +
                              std::to_string(reader.left()) + " bytes left");
  }
  std::vector<std::uint64_t> overhangs(chunks == 0 ? 0 : chunks - 1);
  if (parsed.codec->whole_runs) {
    for (std::uint64_t& overhang : overhangs) overhang = reader.varint();
  }
  parsed.borders = chunk_borders(parsed.count, chunk_log2, overhangs);
  std::vector<std::uint32_t> entries(chunks);
  for (std::uint32_t& entry : entries) entry = reader.u32();
  parsed.head = frame.first(frame.size() - reader.left());
  for (std::size_t i = 0; i < chunks; ++i) {
    const bool raw = entries[i] & kRawChunkFlag;
    const auto payload = reader.take(entries[i] & ~kRawChunkFlag);
    const std::uint64_t raw_size =
        (parsed.borders[i + 1] - parsed.borders[i]) * item_size(parsed.dtype);
    const bool possible = raw_size == 0 ? entries[i] == 0
                          : raw         ? payload.size() == raw_size
                                        : payload.size() < raw_size;
    if (!possible) {
      throw CorruptFrameError("chunk " + std::to_string(i) + " has an invalid size");
    }
    parsed.chunks.push_back({payload, raw});
  }
  const std::size_t tail_size = reader.left();
  parsed.code_book = reader.take(code_book_size);
  parsed.code_length = reader.varint();
  parsed.tail = frame.last(tail_size).first(tail_size - reader.left());
  if (parsed.checksum) parsed.stored_crc = reader.u32();
  if (reader.left() != 0) {
    throw CorruptFrameError(std::to_string(reader.left()) + " bytes follow the end of the frame");
  }
  return parsed;
}

}  // namespace

ParsedFrame parse_frame(std::span<const std::uint8_t> frame) {
  try {
    return parse(frame);
  } catch (const UnsupportedFormatError&) {
    if (is_damaged(frame)) throw CorruptFrameError(kDamaged);
    throw;
  }
}

void check_crc(const ParsedFrame& frame, const Crc32c& payloads) {
  if (!frame.checksum) return;
  Crc32c all(frame.head);
  all.append(payloads);
  all.extend(frame.tail);
  if (all.value() != frame.stored_crc) throw CorruptFrameError(kDamaged);
}

void verify_checksum(std::span<const std::uint8_t> frame, const ParsedFrame& parsed) {
  const std::size_t size = frame.size() - parsed.tail.size() - kChecksumBytes * parsed.checksum;
  check_crc(parsed, Crc32c(frame.first(size).subspan(parsed.head.size())));
}

}  // namespace gradwire
