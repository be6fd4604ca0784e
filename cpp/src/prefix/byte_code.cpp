#include "prefix/byte_code.hpp"

#include <cstring>

#include "gradwire/error.hpp"
#include "prefix/streams.hpp"

namespace gradwire {

EncodedChunk write_streams(std::size_t count, std::span<std::uint8_t> out,
                           const StreamWriter& write) {
  const std::size_t streams = stream_count(count);
  std::size_t used = stream_header_bytes(count);
  EncodedChunk result{std::nullopt, 0};
  bool fits = used <= out.size();
  for (std::size_t s = 0; s < streams; ++s) {
    const std::span<std::uint8_t> room = fits ? out.subspan(used) : std::span<std::uint8_t>{};
    const std::uint64_t bits = write(stream_begin(count, s), stream_begin(count, s + 1), room);
    result.code_length += bits;
    const std::uint64_t size = (bits + 7) / 8;
    fits = fits && size <= room.size();
    if (!fits) continue;
    if (s + 1 < streams) {
      const std::uint32_t header = static_cast<std::uint32_t>(size);
      std::memcpy(out.data() + s * kStreamSizeBytes, &header, kStreamSizeBytes);
    }
    used += size;
  }
  if (fits) result.size = used;
  return result;
}

std::vector<std::span<const std::uint8_t>> read_streams(std::span<const std::uint8_t> payload,
                                                        std::size_t count) {
  const std::size_t streams = stream_count(count);
  const std::size_t header = stream_header_bytes(count);
  if (payload.size() < header)
    throw CorruptFrameError("a chunk is too short to hold the sizes of its streams");
  std::vector<std::span<const std::uint8_t>> parts;
  std::span<const std::uint8_t> rest = payload.subspan(header);
  for (std::size_t s = 0; s < streams; ++s) {
    std::uint32_t size = static_cast<std::uint32_t>(rest.size());
    if (s + 1 < streams) {
      std::memcpy(&size, payload.data() + s * kStreamSizeBytes, kStreamSizeBytes);
    }
    if (size > rest.size()) throw CorruptFrameError("a stream extends past the end of its chunk");
    parts.push_back(rest.first(size));
    rest = rest.subspan(size);
  }
  return parts;
}

ByteEncoder::ByteEncoder(const PrefixCode& code, std::span<const std::uint8_t> bytes,
                         std::span<const std::uint64_t> weights, ExpectedWords expected,
                         Layouts layouts) {
  if (code.max_length() == 0) return;
  if (expected >= kTablesFrom && layouts == Layouts::kAny && pivot_pays(code, weights)) {
    pivot_.emplace(code, bytes);
  } else {
    table_ = code.byte_encode_table(bytes, expected);
  }
}

EncodedChunk ByteEncoder::encode(std::span<const std::uint8_t> bytes,
                                 std::span<std::uint8_t> out) const {
  if (pivot_) {
    if (const auto bits = pivot_->encode(bytes, out)) {
      return {static_cast<std::size_t>((*bits + 7) / 8), *bits};
    }
    return {std::nullopt, pivot_->code_length(bytes)};
  }
  return write_streams(bytes.size(), out,
                       [&](std::size_t begin, std::size_t end, std::span<std::uint8_t> room) {
                         return encode_stream(bytes.subspan(begin, end - begin), room);
                       });
}

/// Writes the code words that fit into `out`; returns the number of bits of all of them.
std::uint64_t ByteEncoder::encode_stream(std::span<const std::uint8_t> bytes,
                                         std::span<std::uint8_t> out) const {
  if (!table_) return 0;
  const std::size_t bits = kernels().codes.encode_bytes(table_.get(), bytes.data(), bytes.size(),
                                                        out.data(), out.data() + out.size());
  if (bits != SIZE_MAX) return bits;
  BitWriter writer(out);
  for (const std::uint8_t byte : bytes) {
    const std::uint64_t entry = table_->word[byte];
    writer.put(entry >> (64 - (entry & 63)), entry & 63);
  }
  writer.finish();
  return writer.bit_count();
}

ByteDecoder::ByteDecoder(const PrefixCode& code, std::span<const std::uint8_t> bytes, Layout layout,
                         ExpectedWords expected)
    : code_(code), bytes_(bytes.begin(), bytes.end()) {
  if (layout == Layout::kPivot) {
    if (code.max_length() == 0) {
      throw CorruptFrameError("a code book with a single symbol does not fit the pivot layout");
    }
    pivot_.emplace(code, bytes);
  } else if (code.max_length() > 0 && expected >= kTablesFrom) {
    table_ = code.byte_decode_table(bytes);
  }
}

void ByteDecoder::decode(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
                         std::uint8_t* out, std::size_t count) const {
  if (pivot_) return pivot_->decode(payload, readable_end, out, count);
  const auto parts = read_streams(payload, count);
  if (code_.max_length() == 0) return fill(parts, {out, count});
  DecodeStream streams[kMaxStreams];
  for (std::size_t s = 0; s < parts.size(); ++s) {
    streams[s] = {parts[s].data(), parts[s].data() + parts[s].size(), out + stream_begin(count, s),
                  out + stream_begin(count, s + 1)};
    if (!table_) decode_one_by_one(parts[s], {streams[s].out, streams[s].out_end});
  }
  if (table_ && !kernels().codes.decode_bytes(table_.get(), streams, parts.size(), readable_end)) {
    throw CorruptFrameError("the code words of a stream do not end where the stream ends");
  }
}

/// Fills `out` with the only byte that there is, if the streams of its empty code words are empty.
void ByteDecoder::fill(std::span<const std::span<const std::uint8_t>> streams,
                       std::span<std::uint8_t> out) const {
  for (const auto& stream : streams) {
    if (!stream.empty()) {
      throw CorruptFrameError("the code words of a stream do not end where the stream ends");
    }
  }
  if (!out.empty()) std::memset(out.data(), bytes_[0], out.size());
}

void ByteDecoder::decode_one_by_one(std::span<const std::uint8_t> stream,
                                    std::span<std::uint8_t> out) const {
  BitReader reader(stream);
  for (std::uint8_t& byte : out) byte = bytes_[code_.read(reader)];
  if (reader.overrun() || !reader.at_end()) {
    throw CorruptFrameError("the code words of a stream do not end where the stream ends");
  }
}

}  // namespace gradwire
