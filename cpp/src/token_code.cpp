#include "token_code.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>

#include "elements.hpp"
#include "gradwire/error.hpp"
#include "streams.hpp"

namespace gradwire {
namespace {

constexpr DType kBytes = DType::kInt8;  // how code books number the bytes
constexpr std::size_t kMaxTokens = 256;

std::uint8_t byte_of(const Symbol& symbol) {
  return static_cast<std::uint8_t>(from_key(symbol.key, kBytes));
}

bool is_plain(const CodeBook& book) {
  return std::all_of(book.symbols.begin(), book.symbols.end(),
                     [](const Symbol& symbol) { return symbol.run == 1; });
}

/// The bytes that stand for the symbols in front of the prefix code.
std::vector<std::uint8_t> coded_bytes(const CodeBook& book, bool plain) {
  std::vector<std::uint8_t> bytes(book.symbols.size());
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  if (plain) std::transform(book.symbols.begin(), book.symbols.end(), bytes.begin(), byte_of);
  return bytes;
}

/// A book with its lengths, and what they make of the sample.
struct Candidate {
  CodeBook book;
  std::uint64_t bits = 0;
};

void choose_lengths(Candidate& candidate, std::span<const std::uint64_t> counts, Lengths wanted) {
  constexpr std::uint64_t kSeen = 8;  // weight of a token seen once; one never seen has 1
  std::vector<std::uint64_t> weights(counts.begin(), counts.end());
  for (std::uint64_t& weight : weights) weight *= kSeen;
  candidate.book.lengths = code_lengths(weights, wanted);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    candidate.bits += counts[i] * candidate.book.lengths[i];
  }
}

std::uint64_t book_bits(const Candidate& candidate) {
  return 8 * write_code_book(candidate.book, kBytes, Runs::kListed).size();
}

/// All bytes have code words, unless those of the sample are all there are.
Candidate plain_book(const std::uint64_t histogram[256], bool is_whole, Lengths wanted) {
  Candidate candidate;
  std::vector<std::uint64_t> counts;
  for (std::uint64_t key = 0; key < 256; ++key) {
    const std::uint64_t count = histogram[from_key(key, kBytes)];
    if (count == 0 && is_whole) continue;
    candidate.book.symbols.push_back({key, 1});
    counts.push_back(count);
  }
  choose_lengths(candidate, counts, wanted);
  return candidate;
}

/// Numbers the tokens of each byte other than 0, with up to max_zeros - 1 zeros before it.
TokenTable token_table(std::span<const Symbol> symbols) {
  TokenTable table{};
  std::fill_n(table.first, 256, kNoToken);
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    const std::uint8_t byte = byte_of(symbols[i]);
    if (byte == 0) {
      table.max_zeros = static_cast<std::uint32_t>(symbols[i].run);
      table.zeros = static_cast<std::uint8_t>(i);
    } else if (symbols[i].run == 1) {
      table.first[byte] = static_cast<std::uint16_t>(i);
    }
  }
  return table;
}

/// How many zeros a token of `bytes` different bytes may have: longer runs are rare, or the tokens
/// would be too many.
std::uint64_t longest_run(double zeros, double all, std::uint64_t bytes) {
  constexpr double kRare = 0.02;
  const double by_rarity = std::ceil(std::log(kRare) / std::log(zeros / all));
  const double most = static_cast<double>((kMaxTokens - 1) / bytes);
  return static_cast<std::uint64_t>(std::min(by_rarity, most));
}

Candidate run_book(std::span<const std::uint8_t> sample, const std::uint64_t histogram[256],
                   std::uint64_t longest, Lengths wanted) {
  Candidate candidate;
  for (std::uint64_t key = 0; key < 256; ++key) {
    const std::uint64_t byte = from_key(key, kBytes) & 255;
    if (byte == 0) candidate.book.symbols.push_back({key, longest});
    if (byte == 0 || histogram[byte] == 0) continue;
    for (std::uint64_t run = 1; run <= longest; ++run) {
      candidate.book.symbols.push_back({key, run});
    }
  }
  std::vector<std::uint8_t> tokens(sample.size());
  const TokenTable table = token_table(candidate.book.symbols);
  const TokenCounts found =
      kernels().tokenize(&table, sample.data(), sample.size(), tokens.data(), nullptr);
  std::uint64_t counts[256] = {};
  kernels().histogram(tokens.data(), found.tokens, counts);
  choose_lengths(candidate, {counts, candidate.book.symbols.size()}, wanted);
  return candidate;
}

}  // namespace

CodeBook make_token_book(std::span<const std::uint8_t> sample, bool is_whole) {
  constexpr double kFewZeros = 0.2;  // make tokens with runs cost more time than they save
  constexpr double kWorthRuns = 0.995;
  const Lengths wanted = sample.size() >= kTokenTablesFrom ? Lengths::kShort : Lengths::kOptimal;
  std::uint64_t histogram[256] = {};
  kernels().histogram(sample.data(), sample.size(), histogram);
  const double all = static_cast<double>(sample.size());
  const double zeros = static_cast<double>(histogram[0]);
  if (zeros == all) return {{{to_key(0, kBytes), kMaxTokenRun}}, false, {0}};
  Candidate plain = plain_book(histogram, is_whole, wanted);
  if (zeros < kFewZeros * all) return std::move(plain.book);
  const std::ptrdiff_t unseen = std::count(histogram, histogram + 256, std::uint64_t{0});
  const std::uint64_t longest = longest_run(zeros, all, static_cast<std::uint64_t>(255 - unseen));
  if (longest < 2) return std::move(plain.book);
  Candidate best = run_book(sample, histogram, longest, wanted);
  if (sample.size() < kTokenTablesFrom) {  // the code book counts
    for (std::uint64_t shorter = longest / 2; shorter >= 2; shorter /= 2) {
      Candidate runs = run_book(sample, histogram, shorter, wanted);
      if (runs.bits + book_bits(runs) < best.bits + book_bits(best)) best = std::move(runs);
    }
  }
  const double runs_bits = static_cast<double>(best.bits + book_bits(best));
  const double plain_bits = static_cast<double>(plain.bits + book_bits(plain));
  return std::move(runs_bits < kWorthRuns * plain_bits ? best.book : plain.book);
}

TokenEncoder::TokenEncoder(CodeBook book, bool with_tables)
    : book_bytes_(write_code_book(book, kBytes, Runs::kListed)),
      code_(book.lengths, PrefixCode::Use::kEncode),
      plain_(is_plain(book)),
      tokens_(token_table(book.symbols)) {
  if (code_.max_length() > 0) {
    table_ = code_.byte_encode_table(coded_bytes(book, plain_), with_tables);
  }
}

std::span<const std::uint32_t> TokenEncoder::encode(std::span<const std::uint8_t> bytes,
                                                    TokenBuffer& buffer,
                                                    std::vector<std::uint8_t>& payload,
                                                    std::uint64_t& code_length) const {
  if (plain_) {
    if (table_) write_streams(bytes, payload, code_length);
    return {};
  }
  buffer.reserve(bytes.size());
  const TokenCounts counts = kernels().tokenize(&tokens_, bytes.data(), bytes.size(),
                                                buffer.tokens.data(), buffer.unknown.data());
  if (table_) {
    append_varint(payload, counts.tokens);
    write_streams({buffer.tokens.data(), counts.tokens}, payload, code_length);
  }
  return {buffer.unknown.data(), counts.unknown};
}

void TokenEncoder::write_streams(std::span<const std::uint8_t> tokens,
                                 std::vector<std::uint8_t>& payload,
                                 std::uint64_t& code_length) const {
  constexpr std::size_t kSlack = 64;  // that the kernel wants behind the code words
  const std::size_t count = token_stream_count(tokens.size());
  const std::size_t header = payload.size();
  const std::size_t size_bytes = token_stream_size_bytes(count);
  const std::size_t begin = header + count * size_bytes;
  payload.resize(begin + (tokens.size() * code_.max_length() + 7) / 8 + count + kSlack);
  std::uint8_t* next = payload.data() + begin;
  std::uint8_t* const end = payload.data() + payload.size();
  for (std::size_t s = 0; s < count; ++s) {
    const std::size_t first = stream_begin(tokens.size(), s, count);
    const std::size_t size = stream_begin(tokens.size(), s + 1, count) - first;
    const std::size_t bits =
        kernels().encode_bytes(table_.get(), tokens.data() + first, size, next, end);
    const std::uint32_t bytes = static_cast<std::uint32_t>((bits + 7) / 8);
    std::memcpy(payload.data() + header + s * size_bytes, &bytes, size_bytes);
    code_length += bits;
    next += bytes;
  }
  payload.resize(static_cast<std::size_t>(next - payload.data()));
}

TokenDecoder::TokenDecoder(std::span<const std::uint8_t> book, std::size_t longest)
    : book_(read_code_book(book, kBytes, Runs::kListed)),
      code_(book_.lengths, PrefixCode::Use::kDecode) {
  if (book_.has_escape) throw CorruptFrameError("a code book of tokens has no escape");
  if (book_.symbols.size() > kMaxTokens) throw CorruptFrameError("code book has too many tokens");
  for (std::size_t i = 0; i < book_.symbols.size(); ++i) {
    const std::uint64_t run = book_.symbols[i].run;
    if (run > kMaxTokenRun) throw CorruptFrameError("a token is longer than it may be");
    expand_.entry[i] =
        static_cast<std::uint32_t>(byte_of(book_.symbols[i]) | (run - 1) << 8 | run << 16);
  }
  plain_ = is_plain(book_);
  bytes_ = coded_bytes(book_, plain_);
  if (code_.max_length() > 0 && longest >= kTokenTablesFrom) {
    table_ = code_.byte_decode_table(bytes_);
  }
}

void TokenDecoder::decode(ByteReader& payload, const std::uint8_t* readable_end,
                          TokenBuffer& buffer, std::span<std::uint8_t> out) const {
  if (code_.max_length() == 0) return fill(out);
  if (plain_) return read_streams(payload, readable_end, out);
  const std::uint64_t count = payload.varint();
  if (count > out.size()) throw CorruptFrameError("a chunk has more tokens than elements");
  buffer.reserve(out.size());
  const std::span<std::uint8_t> tokens{buffer.tokens.data(), static_cast<std::size_t>(count)};
  read_streams(payload, readable_end, tokens);
  if (!kernels().expand(&expand_, tokens.data(), tokens.size(), out.data(), out.size())) {
    throw CorruptFrameError("the tokens of a class do not fill it exactly");
  }
}

/// With the only token there is.
void TokenDecoder::fill(std::span<std::uint8_t> out) const {
  const std::uint8_t byte = byte_of(book_.symbols[0]);
  const std::size_t run = static_cast<std::size_t>(book_.symbols[0].run);
  std::memset(out.data(), 0, out.size());
  if (byte == 0) return;
  if (out.size() % run != 0) throw CorruptFrameError("a token passes the end of its class");
  for (std::size_t i = run - 1; i < out.size(); i += run) out[i] = byte;
}

void TokenDecoder::read_streams(ByteReader& payload, const std::uint8_t* readable_end,
                                std::span<std::uint8_t> tokens) const {
  const std::size_t count = token_stream_count(tokens.size());
  std::uint32_t sizes[kMaxStreams] = {};
  for (std::size_t s = 0; s < count; ++s) {
    const auto size = payload.take(token_stream_size_bytes(count));
    std::memcpy(&sizes[s], size.data(), size.size());
  }
  DecodeStream streams[kMaxStreams];
  for (std::size_t s = 0; s < count; ++s) {
    const auto part = payload.take(sizes[s]);
    streams[s] = {part.data(), part.data() + part.size(),
                  tokens.data() + stream_begin(tokens.size(), s, count),
                  tokens.data() + stream_begin(tokens.size(), s + 1, count)};
  }
  if (table_) {
    if (kernels().decode_bytes(table_.get(), streams, count, readable_end)) return;
    throw CorruptFrameError("the code words of a stream do not fill it exactly");
  }
  for (std::size_t s = 0; s < count; ++s) {
    BitReader reader({streams[s].in, streams[s].in_end});
    for (std::uint8_t* out = streams[s].out; out != streams[s].out_end; ++out) {
      *out = bytes_[code_.read(reader)];
    }
    if (reader.overrun() || !reader.at_end()) {
      throw CorruptFrameError("the code words of a stream do not fill it exactly");
    }
  }
}

}  // namespace gradwire
