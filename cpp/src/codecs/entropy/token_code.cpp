#include "codecs/entropy/token_code.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/block_copy.hpp"
#include "base/byte_tables.hpp"
#include "base/scratch.hpp"
#include "gradwire/error.hpp"
#include "prefix/streams.hpp"

namespace gradwire {
namespace {

constexpr std::size_t kEncodeSlack = 64;  // bytes of room for encode_bytes after the code words

/// The bytes that stand for the symbols of the prefix code.
std::vector<std::uint8_t> coded_bytes(const CodeBook& book, bool plain) {
  std::vector<std::uint8_t> bytes(book.symbols.size());
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  if (plain) std::transform(book.symbols.begin(), book.symbols.end(), bytes.begin(), byte_of);
  return bytes;
}

/// Number of tokens in `bytes` bytes if tokens are as frequent as their code words suggest; at
/// least 1.
ExpectedWords expected_tokens(const CodeBook& book, ExpectedWords bytes) {
  constexpr std::uint64_t kOne = std::uint64_t{1} << kMaxCodeLength;
  std::uint64_t mean_run = 0;  // times kOne
  for (std::size_t i = 0; i < book.symbols.size(); ++i) {
    mean_run += book.symbols[i].run
                << (kMaxCodeLength - std::min<unsigned>(book.lengths[i], kMaxCodeLength));
  }
  // The lengths have not been checked yet; an incomplete code can make the mean less than 1.
  return 1 + bytes / std::max<std::uint64_t>(mean_run / kOne, 1);
}

}  // namespace

TokenEncoder::TokenEncoder(CodeBook book, ExpectedWords bytes, bool finds_unknown)
    : book_bytes_(write_code_book(book, kBytes, Runs::kListed)),
      code_(book.lengths, PrefixCode::kNeverRead),
      plain_(is_plain(book)),
      only_byte_(byte_of(book.symbols[0])),
      finds_unknown_(finds_unknown && plain_ && book.symbols.size() < 256),
      tokens_(token_table(book.symbols)) {
  if (plain_) known_ = byte_set(coded_bytes(book, plain_));
  if (code_.max_length() > 0) {
    table_ = code_.byte_encode_table(coded_bytes(book, plain_), expected_tokens(book, bytes));
  }
}

std::vector<std::uint32_t> TokenEncoder::encode(const Blocks& blocks, Payload& payload,
                                                std::uint64_t& code_length) const {
  std::span<const std::uint8_t> tokens{blocks.data, blocks.size};
  std::vector<std::uint32_t> unknown;
  const Scratch room(blocks.size + kSpareTokens);
  if (!plain_) {
    const Scratch scratch(blocks.size * sizeof(std::uint32_t));
    auto* const places = scratch.as<std::uint32_t>();
    const TokenCounts counts = kernels().tokens.tokenize(&tokens_, &blocks, room.data(), places);
    tokens = {room.data(), counts.tokens};
    unknown.assign(places, places + counts.unknown);
  }
  if (plain_ && blocks.numbers != nullptr && (table_ || finds_unknown_)) {
    gather(blocks, room.data());
    tokens = {room.data(), blocks.size};
  }
  for (std::size_t i = 0; finds_unknown_ && i < tokens.size(); ++i) {
    i += kernels().bytes.find_outside(&known_, tokens.data() + i, tokens.size() - i);
    if (i < tokens.size()) unknown.push_back(static_cast<std::uint32_t>(i));
  }
  if (!table_) return unknown;
  if (blocks.size < kShortSequence) {
    write_short(tokens, payload, code_length);
  } else {
    if (!plain_) append_varint(payload, tokens.size());
    write_streams(tokens, payload, code_length);
  }
  return unknown;
}

void TokenEncoder::write_short(std::span<const std::uint8_t> tokens, Payload& payload,
                               std::uint64_t& code_length) const {
  std::uint8_t stream[kShortSequence * kMaxCodeLength / 8 + kEncodeSlack];
  const std::size_t bits = kernels().codes.encode_bytes(table_.get(), tokens.data(), tokens.size(),
                                                        stream, stream + sizeof(stream));
  code_length += bits;
  append_varint(payload, (bits + 7) / 8);
  payload.append({stream, (bits + 7) / 8});
}

void TokenEncoder::write_streams(std::span<const std::uint8_t> tokens, Payload& payload,
                                 std::uint64_t& code_length) const {
  auto written = streams_in(payload.rest(), tokens);
  if (!written.size) {
    const std::size_t count = token_stream_count(tokens.size());
    const std::size_t most =
        count * (kStreamSizeBytes + 1) + tokens.size() * code_.max_length() / 8;
    written = streams_in(payload.rest(most + kEncodeSlack), tokens);
  }
  code_length += written.code_length;
  payload.grow(*written.size);
}

/// The result has no size if `room` might be too small.
EncodedChunk TokenEncoder::streams_in(std::span<std::uint8_t> room,
                                      std::span<const std::uint8_t> tokens) const {
  const std::size_t count = token_stream_count(tokens.size());
  EncodedChunk result{std::nullopt, 0};
  std::size_t used = count * kStreamSizeBytes;
  if (used > room.size()) return result;
  for (std::size_t s = 0; s < count; ++s) {
    const std::size_t first = stream_begin(tokens.size(), s, count);
    const std::size_t size = stream_begin(tokens.size(), s + 1, count) - first;
    const std::size_t bits = kernels().codes.encode_bytes(
        table_.get(), tokens.data() + first, size, room.data() + used, room.data() + room.size());
    if (bits == SIZE_MAX) return result;
    const std::uint32_t bytes = static_cast<std::uint32_t>((bits + 7) / 8);
    std::memcpy(room.data() + s * kStreamSizeBytes, &bytes, kStreamSizeBytes);
    result.code_length += bits;
    used += bytes;
  }
  result.size = used;
  return result;
}

TokenDecoder::TokenDecoder(CodeBook book, ExpectedWords bytes)
    : book_(std::move(book)), code_(book_.lengths, expected_tokens(book_, bytes)) {
  for (std::size_t i = 0; i < book_.symbols.size(); ++i) {
    const std::uint64_t run = book_.symbols[i].run;
    expand_.entry[i] =
        static_cast<std::uint32_t>(byte_of(book_.symbols[i]) | (run - 1) << 8 | run << 16);
  }
  plain_ = is_plain(book_);
  bytes_ = coded_bytes(book_, plain_);
  if (code_.max_length() > 0 && bytes >= kTokenTablesFrom) {
    table_ = code_.byte_decode_table(bytes_);
  }
}

void TokenDecoder::decode(ByteReader& payload, const std::uint8_t* readable_end,
                          const OutBlocks& out) const {
  if (code_.max_length() == 0) return fill(out);
  const bool is_short = out.size < kShortSequence;
  if (!plain_ && !is_short) return read_tokens(payload, readable_end, out);
  const bool in_place = out.numbers == nullptr;
  const Scratch room(in_place ? 0 : out.size);
  const std::span<std::uint8_t> bytes{in_place ? out.data : room.data(), out.size};
  if (is_short) {
    read_short(payload, bytes);
  } else {
    read_streams(payload, readable_end, bytes);
  }
  if (!in_place) scatter(bytes.data(), out);
}

/// Fills `out` with the only token of the book.
void TokenDecoder::fill(const OutBlocks& out) const {
  if (out.numbers == nullptr) std::memset(out.data, 0, out.size);
  const std::uint8_t byte = byte_of(book_.symbols[0]);
  if (byte == 0) return;
  const std::size_t run = static_cast<std::size_t>(book_.symbols[0].run);
  if (out.size % run != 0) throw CorruptFrameError("a token extends past the end of its sequence");
  for (std::size_t i = run - 1; i < out.size; i += run) *byte_at(out, i) = byte;
}

void TokenDecoder::read_tokens(ByteReader& payload, const std::uint8_t* readable_end,
                               const OutBlocks& out) const {
  const std::uint64_t count = payload.varint();
  if (count > out.size) throw CorruptFrameError("a sequence has more tokens than bytes");
  const Scratch room(out.size);
  const std::span<std::uint8_t> tokens{room.data(), static_cast<std::size_t>(count)};
  read_streams(payload, readable_end, tokens);
  if (!kernels().tokens.expand(&expand_, tokens.data(), tokens.size(), &out)) {
    throw CorruptFrameError("the tokens of a sequence do not fill it exactly");
  }
}

void TokenDecoder::read_short(ByteReader& payload, std::span<std::uint8_t> out) const {
  BitReader reader(payload.take(payload.varint()));
  std::memset(out.data(), 0, out.size());
  std::size_t place = 0;
  while (place < out.size() && !reader.overrun()) {
    const std::uint32_t entry = expand_.entry[code_.read(reader)];
    const std::size_t last = place + (entry >> 8 & 255);
    if (last < out.size()) {
      out[last] = static_cast<std::uint8_t>(entry);
    } else if ((entry & 255) != 0) {
      throw CorruptFrameError("a token extends past the end of its sequence");
    }
    place = last + 1;
  }
  if (reader.overrun() || !reader.at_end()) {
    throw CorruptFrameError("the code words of a stream do not end where the stream ends");
  }
}

void TokenDecoder::read_streams(ByteReader& payload, const std::uint8_t* readable_end,
                                std::span<std::uint8_t> tokens) const {
  const std::size_t count = token_stream_count(tokens.size());
  std::uint32_t sizes[kMaxStreams];
  for (std::size_t s = 0; s < count; ++s) sizes[s] = payload.u32();
  DecodeStream streams[kMaxStreams];
  for (std::size_t s = 0; s < count; ++s) {
    const auto part = payload.take(sizes[s]);
    streams[s] = {part.data(), part.data() + part.size(),
                  tokens.data() + stream_begin(tokens.size(), s, count),
                  tokens.data() + stream_begin(tokens.size(), s + 1, count)};
  }
  if (table_) {
    if (kernels().codes.decode_bytes(table_.get(), streams, count, readable_end)) return;
    throw CorruptFrameError("the code words of a stream do not end where the stream ends");
  }
  for (std::size_t s = 0; s < count; ++s) {
    BitReader reader({streams[s].in, streams[s].in_end});
    for (std::uint8_t* out = streams[s].out; out != streams[s].out_end; ++out) {
      *out = bytes_[code_.read(reader)];
    }
    if (reader.overrun() || !reader.at_end()) {
      throw CorruptFrameError("the code words of a stream do not end where the stream ends");
    }
  }
}

}  // namespace gradwire
