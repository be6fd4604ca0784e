#include "codecs/entropy/token_book.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/byte_tables.hpp"
#include "base/scratch.hpp"
#include "gradwire/error.hpp"
#include "prefix/code_lengths.hpp"
#include "prefix/prefix_code.hpp"

namespace gradwire {
namespace {

/// Chooses lengths for the sample's `counts`, mixed with `expected` counts: if tokens are few, the
/// sample's counts vary by chance.
void choose_lengths(FittedBook& candidate, std::span<const std::uint64_t> counts,
                    std::span<const double> expected, double allowance) {
  constexpr double kSeen = 8;  // weight of a token seen once; an unseen token has 1
  constexpr double kTrust = 4;
  constexpr double kMost = 8;
  const double tokens = static_cast<double>(std::accumulate(counts.begin(), counts.end(), 0ull));
  const double mixed = std::min(kMost, kTrust * static_cast<double>(counts.size()) / tokens);
  std::vector<std::uint64_t> weights;
  weights.reserve(counts.size());
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double more = expected.empty() ? 0 : mixed * expected[i];
    weights.push_back(static_cast<std::uint64_t>(kSeen * (static_cast<double>(counts[i]) + more)));
  }
  candidate.book.lengths = code_lengths(weights, allowance);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    candidate.bits += counts[i] * candidate.book.lengths[i];
  }
}

/// Estimated size of the code book in bits.
std::uint64_t book_bits(const FittedBook& candidate) {
  return 40 + 4 * candidate.book.symbols.size();
}

/// A book of single bytes.
FittedBook plain_book(const ByteCounts& histogram, const Alphabet& alphabet, double allowance) {
  FittedBook candidate;
  std::vector<std::uint64_t> counts;
  for (std::uint64_t key = 0; key < 256; ++key) {
    const std::uint64_t byte = from_key(key, kBytes) & 255;
    if (histogram[byte] == 0 && !alphabet[byte]) continue;
    candidate.book.symbols.push_back({key, 1});
    counts.push_back(histogram[byte]);
  }
  choose_lengths(candidate, counts, {}, allowance);
  return candidate;
}

/// Length of the longest token if `bytes` different bytes are not 0. Longer runs are rare, or there
/// would be too many kinds of tokens, at all or for a small array.
std::uint64_t longest_run(double zeros, double all, std::uint64_t bytes) {
  constexpr double kFewRuns = 60;  // too few to tell how frequent each length is
  constexpr double kRare = 0.005;
  constexpr double kMostRare = 0.02;
  constexpr double kFewTokens = 20;
  const double rare = std::clamp(kFewRuns / (all - zeros), kRare, kMostRare);
  const double by_rarity = std::ceil(std::log(rare) / std::log(zeros / all));
  const double by_number = std::clamp((all - zeros) / 4 + all / kTokenTablesFrom * kMaxTokens,
                                      kFewTokens, kMaxTokens - 1.0);
  const double most = by_number / static_cast<double>(bytes);
  return static_cast<std::uint64_t>(std::min(by_rarity, most));
}

/// How often tokens would occur in `all` bytes if each byte were independent of the others. A run
/// is cut into tokens of the most zeros and a rest; see Weights::add_zero_runs.
std::vector<double> expected_counts(std::span<const Symbol> symbols, std::uint64_t longest,
                                    const ByteCounts& histogram, double all) {
  const double p0 = static_cast<double>(histogram[0]) / all;
  double powers[kMaxTokenRun + 1] = {1};
  for (std::uint64_t r = 1; r <= longest; ++r) powers[r] = powers[r - 1] * p0;
  const double cuts = 1 / (1 - powers[longest]);
  std::vector<double> expected;
  expected.reserve(symbols.size());
  for (const Symbol& symbol : symbols) {
    const std::uint8_t byte = byte_of(symbol);
    const double values =
        byte == 0 ? (1 - p0) * all * p0 : static_cast<double>(histogram[byte]) * (1 - p0);
    expected.push_back(values * cuts * powers[symbol.run - 1]);
  }
  return expected;
}

FittedBook run_book(std::span<const std::uint8_t> sample, const ByteCounts& histogram,
                    std::uint64_t longest, double allowance) {
  FittedBook candidate;
  candidate.book.symbols.reserve(kMaxTokens);
  for (std::uint64_t key = 0; key < 256; ++key) {
    const std::uint64_t byte = from_key(key, kBytes) & 255;
    if (byte == 0) candidate.book.symbols.push_back({key, longest});
    if (byte == 0 || histogram[byte] == 0) continue;
    for (std::uint64_t run = 1; run <= longest; ++run) {
      candidate.book.symbols.push_back({key, run});
    }
  }
  const Scratch tokens(sample.size() + kSpareTokens);
  const TokenTable table = token_table(candidate.book.symbols);
  const Blocks blocks{sample.data(), nullptr, sample.size()};
  const TokenCounts found = kernels().tokens.tokenize(&table, &blocks, tokens.data(), nullptr);
  const ByteCounts counts = count_bytes({tokens.data(), found.tokens});
  const std::vector<double> expected = expected_counts(candidate.book.symbols, longest, histogram,
                                                       static_cast<double>(sample.size()));
  choose_lengths(candidate, {counts.data(), expected.size()}, expected, allowance);
  return candidate;
}

}  // namespace

bool is_plain(const CodeBook& book) {
  return std::all_of(book.symbols.begin(), book.symbols.end(),
                     [](const Symbol& symbol) { return symbol.run == 1; });
}

/// Numbers the tokens of each byte other than 0, which have up to max_zeros - 1 zeros before it.
TokenTable token_table(std::span<const Symbol> symbols) {
  TokenTable table{};
  std::fill_n(table.first, 256, kNoToken);
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    const std::uint8_t byte = byte_of(symbols[i]);
    if (byte == 0) {
      table.max_zeros = static_cast<std::uint32_t>(symbols[i].run);
      table.zeros = static_cast<std::uint8_t>(i);
    } else if (symbols[i].run == 1) {
      table.first[byte] = static_cast<std::uint16_t>(i);
      table.firsts.to[byte] = static_cast<std::uint8_t>(i);
      bytes.push_back(byte);
    }
  }
  table.known = byte_set(bytes);
  set_rows(table.firsts, bytes);
  return table;
}

ByteCounts count_bytes(std::span<const std::uint8_t> bytes) {
  ByteCounts counts{};
  kernels().bytes.histogram(bytes.data(), bytes.size(), counts.data());
  return counts;
}

FittedBook make_token_book(std::span<const std::uint8_t> sample, const ByteCounts& histogram,
                           const Alphabet& alphabet) {
  constexpr double kFewZeros = 0.2;   // share below which runs cost more time than they save
  constexpr double kManyZeros = 0.8;  // share above which a plain code is never smaller
  constexpr double kWorthRuns = 0.98;
  const double allowance = sample.size() >= kTokenTablesFrom ? kSmallCode : kOptimalCode;
  const double all = static_cast<double>(sample.size());
  const double zeros = static_cast<double>(histogram[0]);
  if (zeros == all) return {{{{to_key(0, kBytes), kMaxTokenRun}}, false, {0}}, 0};
  const std::ptrdiff_t unseen = std::count(histogram.begin(), histogram.end(), std::uint64_t{0});
  const std::uint64_t longest =
      zeros < kFewZeros * all ? 0
                              : longest_run(zeros, all, static_cast<std::uint64_t>(255 - unseen));
  if (longest < 2) return plain_book(histogram, alphabet, allowance);
  FittedBook runs = run_book(sample, histogram, longest, allowance);
  if (zeros > kManyZeros * all) return runs;
  FittedBook plain = plain_book(histogram, alphabet, allowance);
  const bool better = static_cast<double>(runs.bits + book_bits(runs)) <
                      kWorthRuns * static_cast<double>(plain.bits + book_bits(plain));
  return better ? runs : plain;
}

bool can_code_others(const CodeBook& book) {
  if (is_plain(book)) return book.symbols.size() == 256;
  std::uint64_t longest = 0;
  for (const Symbol& symbol : book.symbols) {
    if (byte_of(symbol) == 0) longest = symbol.run;
  }
  std::size_t next = 0;
  for (std::uint64_t key = 0; key < 256 && next < book.symbols.size(); ++key) {
    if (book.symbols[next].key != key) continue;
    const bool is_zero = byte_of(book.symbols[next]) == 0;
    for (std::uint64_t run = is_zero ? longest : 1; run <= longest; ++run, ++next) {
      if (next == book.symbols.size() || book.symbols[next] != Symbol{key, run}) return false;
    }
  }
  return longest > 0 && next == book.symbols.size();
}

CodeBook read_token_book(std::span<const std::uint8_t> bytes) {
  CodeBook book = read_code_book(bytes, kBytes, Runs::kListed);
  if (book.has_escape) throw CorruptFrameError("a code book of tokens must not have an escape");
  if (book.symbols.size() > kMaxTokens)
    throw CorruptFrameError("code book has more than 256 tokens");
  for (const Symbol& symbol : book.symbols) {
    if (symbol.run > kMaxTokenRun)
      throw CorruptFrameError("code book has a token of more than 256 bytes");
  }
  return book;
}

}  // namespace gradwire
