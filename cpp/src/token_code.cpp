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
constexpr std::size_t kEncodeSlack = 64;  // that encode_bytes wants behind the code words

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

/// `expected`: counts to be mixed in; where tokens are few, those of the sample vary by chance.
void choose_lengths(Candidate& candidate, std::span<const std::uint64_t> counts,
                    std::span<const double> expected, Lengths wanted) {
  constexpr double kSeen = 8;  // weight of a token seen once; one never seen has 1
  constexpr double kTrust = 4;
  constexpr double kMost = 8;
  const double tokens = static_cast<double>(std::accumulate(counts.begin(), counts.end(), 0ull));
  const double mixed = std::min(kMost, kTrust * static_cast<double>(counts.size()) / tokens);
  std::vector<std::uint64_t> weights;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double more = expected.empty() ? 0 : mixed * expected[i];
    weights.push_back(static_cast<std::uint64_t>(kSeen * (static_cast<double>(counts[i]) + more)));
  }
  candidate.book.lengths = code_lengths(weights, wanted);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    candidate.bits += counts[i] * candidate.book.lengths[i];
  }
}

/// About the bits of the code book.
std::uint64_t book_bits(const Candidate& candidate) { return 40 + candidate.book.symbols.size(); }

/// All bytes have code words, unless those of the sample are all there are.
Candidate plain_book(const ByteCounts& histogram, bool is_whole, Lengths wanted) {
  Candidate candidate;
  std::vector<std::uint64_t> counts;
  for (std::uint64_t key = 0; key < 256; ++key) {
    const std::uint64_t count = histogram[from_key(key, kBytes)];
    if (count == 0 && is_whole) continue;
    candidate.book.symbols.push_back({key, 1});
    counts.push_back(count);
  }
  choose_lengths(candidate, counts, {}, wanted);
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
/// would be too many, or too many for the few that a small array has.
std::uint64_t longest_run(double zeros, double all, std::uint64_t bytes) {
  constexpr double kRare = 0.02;
  constexpr double kFewTokens = 32;
  const double by_rarity = std::ceil(std::log(kRare) / std::log(zeros / all));
  const double by_number =
      std::clamp(all - zeros + all / kTokenTablesFrom * kMaxTokens, kFewTokens, kMaxTokens - 1.0);
  const double most = by_number / static_cast<double>(bytes);
  return static_cast<std::uint64_t>(std::min(by_rarity, most));
}

/// How often tokens would occur in so many bytes if each of them were independent of the others. A
/// run is cut into tokens of the most zeros and a rest; see Weights::add_zero_runs.
std::vector<double> expected_counts(std::span<const Symbol> symbols, const ByteCounts& histogram,
                                    double all) {
  const double p0 = static_cast<double>(histogram[0]) / all;
  double powers[kMaxTokenRun + 1] = {1};
  const std::uint64_t longest = token_table(symbols).max_zeros;
  for (std::uint64_t r = 1; r <= longest; ++r) powers[r] = powers[r - 1] * p0;
  const double cuts = 1 / (1 - powers[longest]);
  std::vector<double> expected;
  for (const Symbol& symbol : symbols) {
    const std::uint8_t byte = byte_of(symbol);
    const double values =
        byte == 0 ? (1 - p0) * all * p0 : static_cast<double>(histogram[byte]) * (1 - p0);
    expected.push_back(values * cuts * powers[symbol.run - 1]);
  }
  return expected;
}

Candidate run_book(std::span<const std::uint8_t> sample, const ByteCounts& histogram,
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
  const ByteCounts counts = count_bytes({tokens.data(), found.tokens});
  const std::vector<double> expected =
      expected_counts(candidate.book.symbols, histogram, static_cast<double>(sample.size()));
  choose_lengths(candidate, {counts.data(), expected.size()}, expected, wanted);
  return candidate;
}

}  // namespace

ByteCounts count_bytes(std::span<const std::uint8_t> bytes) {
  ByteCounts counts{};
  kernels().histogram(bytes.data(), bytes.size(), counts.data());
  return counts;
}

CodeBook make_token_book(std::span<const std::uint8_t> sample, const ByteCounts& histogram,
                         bool is_whole) {
  constexpr double kFewZeros = 0.2;  // make tokens with runs cost more time than they save
  constexpr double kWorthRuns = 0.995;
  const Lengths wanted = sample.size() >= kTokenTablesFrom ? Lengths::kShort : Lengths::kOptimal;
  const double all = static_cast<double>(sample.size());
  const double zeros = static_cast<double>(histogram[0]);
  if (zeros == all) return {{{to_key(0, kBytes), kMaxTokenRun}}, false, {0}};
  Candidate plain = plain_book(histogram, is_whole, wanted);
  if (zeros < kFewZeros * all) return std::move(plain.book);
  const std::ptrdiff_t unseen = std::count(histogram.begin(), histogram.end(), std::uint64_t{0});
  const std::uint64_t longest = longest_run(zeros, all, static_cast<std::uint64_t>(255 - unseen));
  if (longest < 2) return std::move(plain.book);
  Candidate runs = run_book(sample, histogram, longest, wanted);
  const bool better = static_cast<double>(runs.bits + book_bits(runs)) <
                      kWorthRuns * static_cast<double>(plain.bits + book_bits(plain));
  return std::move(better ? runs.book : plain.book);
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
  TokenCounts counts{bytes.size(), 0};
  std::span<const std::uint8_t> tokens = bytes;
  if (!plain_) {
    buffer.reserve(bytes.size());
    counts = kernels().tokenize(&tokens_, bytes.data(), bytes.size(), buffer.tokens.data(),
                                buffer.unknown.data());
    tokens = {buffer.tokens.data(), counts.tokens};
  }
  const std::span<const std::uint32_t> unknown{buffer.unknown.data(), counts.unknown};
  if (!table_) return unknown;
  if (bytes.size() < kShortSequence) {
    write_short(tokens, payload, code_length);
  } else {
    if (!plain_) append_varint(payload, tokens.size());
    write_streams(tokens, payload, code_length);
  }
  return unknown;
}

void TokenEncoder::write_short(std::span<const std::uint8_t> tokens,
                               std::vector<std::uint8_t>& payload,
                               std::uint64_t& code_length) const {
  std::uint8_t stream[kShortSequence * kMaxCodeLength / 8 + kEncodeSlack];
  const std::size_t bits = kernels().encode_bytes(table_.get(), tokens.data(), tokens.size(),
                                                  stream, stream + sizeof(stream));
  code_length += bits;
  append_varint(payload, (bits + 7) / 8);
  payload.insert(payload.end(), stream, stream + (bits + 7) / 8);
}

void TokenEncoder::write_streams(std::span<const std::uint8_t> tokens,
                                 std::vector<std::uint8_t>& payload,
                                 std::uint64_t& code_length) const {
  const std::size_t count = token_stream_count(tokens.size());
  const std::size_t header = payload.size();
  const std::size_t begin = header + count * kStreamSizeBytes;
  payload.resize(begin + (tokens.size() * code_.max_length() + 7) / 8 + count + kEncodeSlack);
  std::uint8_t* next = payload.data() + begin;
  std::uint8_t* const end = payload.data() + payload.size();
  for (std::size_t s = 0; s < count; ++s) {
    const std::size_t first = stream_begin(tokens.size(), s, count);
    const std::size_t size = stream_begin(tokens.size(), s + 1, count) - first;
    const std::size_t bits =
        kernels().encode_bytes(table_.get(), tokens.data() + first, size, next, end);
    const std::uint32_t bytes = static_cast<std::uint32_t>((bits + 7) / 8);
    std::memcpy(payload.data() + header + s * kStreamSizeBytes, &bytes, kStreamSizeBytes);
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
  if (out.size() < kShortSequence) return read_short(payload, out);
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
      throw CorruptFrameError("a token passes the end of its class");
    }
    place = last + 1;
  }
  if (reader.overrun() || !reader.at_end()) {
    throw CorruptFrameError("the code words of a stream do not fill it exactly");
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
