#include "frame/frame_header.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

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

/// Takes a frame apart, part by part, in the order of FORMAT.md, section 2.
class FrameParser {
 public:
  FrameParser(std::span<const std::uint8_t> frame, Extent extent)
      : frame_(frame), reader_(frame, extent) {}

  ParsedFrame parse() {
    read_magic();
    read_format();
    read_shape();
    const std::uint64_t code_book_size = read_code_book_size();
    read_payloads(read_directory());
    read_tail(code_book_size);
    return std::move(parsed_);
  }

 private:
  void read_magic();
  void read_format();
  void read_shape();
  std::uint64_t read_code_book_size();
  /// Returns the entries of the chunks, and finds the borders of the chunks on the way.
  std::vector<std::uint32_t> read_directory();
  void read_payloads(std::span<const std::uint32_t> entries);
  void read_tail(std::uint64_t code_book_size);

  std::span<const std::uint8_t> frame_;
  ByteReader reader_;
  unsigned chunk_log2_ = 0;
  ParsedFrame parsed_{};
};

void FrameParser::read_magic() {
  const auto magic = reader_.take(2);
  if (magic[0] == kMagic[0] && magic[1] == kGradientMagic) {
    throw CorruptFrameError(
        "this is a gradient frame; decode it with decompress_gradient or a Compressor");
  }
  if (magic[0] != kMagic[0] || magic[1] != kMagic[1]) {
    throw CorruptFrameError("not a gradwire frame: the first two bytes are not 'GW'");
  }
}

void FrameParser::read_format() {
  const std::uint8_t version = reader_.byte();
  if (version != kVersion) unsupported("format version", version);
  const std::uint8_t flags = reader_.byte();
  if (flags & ~(kChecksumFlag | kSharedBookFlag)) unsupported("flags", flags);
  parsed_.checksum = flags & kChecksumFlag;
  parsed_.shared_code_book = flags & kSharedBookFlag;
  const std::uint8_t codec = reader_.byte();
  parsed_.codec = find_codec(codec);
  if (parsed_.codec == nullptr) unsupported("codec", codec);
  const std::uint8_t layout = reader_.byte();
  parsed_.layout = static_cast<Layout>(layout);
  const bool is_known = parsed_.layout == Layout::kClassic ||
                        (parsed_.layout == Layout::kPivot && parsed_.codec->has_pivot_layout) ||
                        (parsed_.layout == Layout::kForms && parsed_.codec->has_forms);
  if (!is_known) unsupported("layout", layout);
  const std::uint8_t dtype = reader_.byte();
  if (dtype >= kDTypeCount) unsupported("dtype", dtype);
  parsed_.dtype = static_cast<DType>(dtype);
  chunk_log2_ = reader_.byte();
  if (chunk_log2_ > kMaxChunkLog2) unsupported("chunk size exponent", chunk_log2_);
}

void FrameParser::read_shape() {
  const std::uint8_t dimensions = reader_.byte();
  if (dimensions > kMaxDimensions) unsupported("number of dimensions", dimensions);
  for (unsigned i = 0; i < dimensions; ++i) parsed_.shape.push_back(reader_.varint());
  try {
    parsed_.count = element_count(parsed_.shape, parsed_.dtype);
  } catch (const std::length_error&) {
    throw CorruptFrameError("frame declares an array of more than 2^62 bytes");
  }
}

std::uint64_t FrameParser::read_code_book_size() {
  const std::uint64_t size = reader_.varint();
  if (parsed_.shared_code_book && !parsed_.codec->shares_code_books) {
    throw CorruptFrameError("frame names a shared code book, which its codec does not take");
  }
  if (parsed_.shared_code_book && size != kBookNameBytes) {
    throw CorruptFrameError("the name of a shared code book has " + std::to_string(size) +
                            " bytes, but must have 8");
  }
  return size;
}

std::vector<std::uint32_t> FrameParser::read_directory() {
  // Every chunk has an entry, so that a short frame cannot declare a long array.
  const std::uint64_t rest = parsed_.count & ((std::uint64_t{1} << chunk_log2_) - 1);
  const std::uint64_t chunks = (parsed_.count >> chunk_log2_) + (rest != 0);
  if (chunks > reader_.left() / kChunkEntryBytes) {
    reader_.ends_too_early("it declares " + std::to_string(parsed_.count) + " elements in " +
                           std::to_string(chunks) + " chunks, but has only " +
                           std::to_string(reader_.left()) + " bytes left");
  }
  std::vector<std::uint64_t> overhangs(chunks == 0 ? 0 : chunks - 1);
  if (parsed_.codec->whole_runs) {
    for (std::uint64_t& overhang : overhangs) overhang = reader_.varint();
  }
  parsed_.borders = chunk_borders(parsed_.count, chunk_log2_, overhangs);
  std::vector<std::uint32_t> entries(chunks);
  for (std::uint32_t& entry : entries) entry = reader_.u32();
  return entries;
}

void FrameParser::read_payloads(std::span<const std::uint32_t> entries) {
  parsed_.head = frame_.first(frame_.size() - reader_.left());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const bool raw = entries[i] & kRawChunkFlag;
    const auto payload = reader_.take(entries[i] & ~kRawChunkFlag);
    const std::uint64_t raw_size =
        (parsed_.borders[i + 1] - parsed_.borders[i]) * item_size(parsed_.dtype);
    const bool possible = raw_size == 0 ? entries[i] == 0
                          : raw         ? payload.size() == raw_size
                                        : payload.size() < raw_size;
    if (!possible) {
      throw CorruptFrameError("chunk " + std::to_string(i) + " has an invalid size");
    }
    parsed_.chunks.push_back({payload, raw});
  }
}

void FrameParser::read_tail(std::uint64_t code_book_size) {
  const std::size_t tail_size = reader_.left();
  parsed_.code_book = reader_.take(code_book_size);
  parsed_.code_length = reader_.varint();
  parsed_.tail = frame_.last(tail_size).first(tail_size - reader_.left());
  if (parsed_.checksum) parsed_.stored_crc = reader_.u32();
  if (reader_.left() != 0) {
    throw CorruptFrameError(std::to_string(reader_.left()) + " bytes follow the end of the frame");
  }
}

}  // namespace

ParsedFrame parse_frame(std::span<const std::uint8_t> frame, Extent extent) {
  try {
    return FrameParser(frame, extent).parse();
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
