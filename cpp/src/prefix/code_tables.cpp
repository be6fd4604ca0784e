#include <algorithm>
#include <cstring>
#include <numeric>

#include "prefix/prefix_code.hpp"

// Lookup tables that the kernels use to code bytes.

namespace gradwire {
namespace {

void make_pairs(OwnedEncodeTable& table) {
  std::uint32_t word[256];
  std::uint32_t length[256];
  std::uint32_t up[256];  // multiplying by it shifts each lane of a vector by its length
  for (unsigned byte = 0; byte < 256; ++byte) {
    const std::uint64_t entry = table.word[byte];
    length[byte] = entry & 63;
    word[byte] = static_cast<std::uint32_t>(entry >> (64 - length[byte]));
    up[byte] = std::uint32_t{1} << length[byte];
  }
  table.pairs = std::make_unique_for_overwrite<std::uint32_t[]>(kPairs);
  table.pair = table.pairs.get();
  std::uint32_t* pair = table.pairs.get();
  for (unsigned second = 0; second < 256; ++second) {
    for (unsigned first = 0; first < 256; ++first) {
      const std::uint32_t words = word[first] | word[second] * up[first];
      const std::uint32_t bits = length[first] + length[second];
      *pair++ = bits <= kPairBits ? words | bits << kPairBits : kTooLong << kPairBits;
    }
  }
}

constexpr unsigned kMostWordBits = 16;   // longest word in WordRows, in bits
constexpr double kMostMeanLength = 5.3;  // bits; above it, eight words are often too long together

void fill_long_words(ByteDecodeTable& table, unsigned max_length) {
  table.long_shift = kMaxCodeLength - max_length;
  std::uint32_t aligned = table.limit[std::min(table.word_bits, max_length)];
  unsigned length = table.word_bits + 1;
  for (std::uint32_t i = 0; i < kLongEntries && aligned < table.limit[max_length]; ++i) {
    while (aligned >= table.limit[length]) ++length;
    const std::uint32_t place = table.offset[length] + (aligned >> (kMaxCodeLength - length));
    table.long_words[i] = static_cast<std::uint16_t>(table.order[place] << 8 | length);
    aligned += std::uint32_t{1} << table.long_shift;
  }
}

/// Mean length of a code word, in bits, above which a table of half the size decodes faster.
constexpr double kFewSymbolsFrom = 3.5;

/// Repeats the first 2^word_bits entries to fill a table: the higher bits of an index make no
/// difference.
template <typename T>
void repeat(T* table, unsigned word_bits) {
  for (std::size_t size = std::size_t{1} << word_bits; size < std::size_t{1} << kLookupBits;
       size *= 2) {
    std::copy_n(table, size, table + size);
  }
}

/// Fills `six` or `three` from `single`.
void fill_multi_symbol_entries(ByteDecodeTable& table) {
  const unsigned most = table.few_symbols ? 3 : 6;
  for (std::size_t i = 0; i < std::size_t{1} << table.word_bits; ++i) {
    std::uint64_t symbols = 0;
    unsigned used = 0;
    unsigned count = 0;
    while (count < most) {
      const std::uint64_t entry = table.single[i >> used];
      const unsigned length = entry & 63;
      if (length == 0 || used + length > table.word_bits) break;
      symbols |= (entry >> 8) << (8 * count++);
      used += length;
    }
    if (table.few_symbols) {
      table.three[i] = static_cast<std::uint32_t>(symbols) << 6 | count << 30 | used;
    } else {
      table.six[i] = symbols << 16 | count << 8 | used;
    }
  }
  if (table.few_symbols) {
    repeat(table.three, table.word_bits);
  } else {
    repeat(table.six, table.word_bits);
  }
}

/// The 2, 4 or 8 rows of 16 bytes that hold nearly all symbols, if these are as frequent as their
/// code words suggest; empty if 8 rows are too few. The longest words do not count if a limit may
/// have shortened many: they are rarer than their length suggests.
std::vector<std::uint8_t> heaviest_rows(std::span<const std::uint8_t> bytes,
                                        std::span<const std::uint8_t> lengths) {
  constexpr std::uint64_t kOthers = (std::uint64_t{1} << kMaxCodeLength) / 256;
  const std::uint8_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::uint64_t weight[16] = {};
  std::uint64_t all = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (longest >= kLookupBits && lengths[i] == longest) continue;
    const std::uint64_t own = std::uint64_t{1} << (kMaxCodeLength - lengths[i]);
    all += own;
    if (lengths[i] <= kMostWordBits) weight[bytes[i] >> 4] += own;
  }
  std::vector<std::uint8_t> rows(16);
  std::iota(rows.begin(), rows.end(), std::uint8_t{0});
  std::stable_sort(rows.begin(), rows.end(),
                   [&](std::uint8_t a, std::uint8_t b) { return weight[a] > weight[b]; });
  for (const std::size_t taken : {2u, 4u, 8u}) {
    std::uint64_t sum = kOthers;
    for (std::size_t k = 0; k < taken; ++k) sum += weight[rows[k]];
    if (sum < all) continue;
    rows.resize(taken);
    return rows;
  }
  return {};
}

/// Does nothing if the symbols are spread over too many rows.
void make_rows(OwnedEncodeTable& table, std::span<const std::uint8_t> bytes,
               std::span<const std::uint8_t> lengths) {
  const std::vector<std::uint8_t> chosen = heaviest_rows(bytes, lengths);
  if (chosen.empty()) return;
  auto rows = std::make_unique<WordRows>();
  rows->rows = static_cast<std::uint8_t>(chosen.size());
  std::copy(chosen.begin(), chosen.end(), rows->row);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto row = static_cast<std::size_t>(
        std::find(chosen.begin(), chosen.end(), bytes[i] >> 4) - chosen.begin());
    if (row == chosen.size() || lengths[i] > kMostWordBits) continue;
    const std::uint64_t word = table.word[bytes[i]] >> (64 - lengths[i]);
    const std::size_t column = bytes[i] & 15;
    rows->low[row][column] = static_cast<std::uint8_t>(word);
    rows->high[row][column] = static_cast<std::uint8_t>(word >> 8);
    rows->length[row][column] = lengths[i];
  }
  table.word_rows = std::move(rows);
  table.rows = table.word_rows.get();
}

}  // namespace

std::unique_ptr<OwnedEncodeTable> PrefixCode::byte_encode_table(std::span<const std::uint8_t> bytes,
                                                                ExpectedWords to_write) const {
  // Least number of code words to write for which making each table pays off.
  constexpr std::uint64_t kRowsFrom = 1024;
  constexpr std::uint64_t kPairsFrom = std::uint64_t{1} << 20;
  auto table = std::make_unique_for_overwrite<OwnedEncodeTable>();
  table->mean_length = mean_length();
  const auto entry = [&](std::uint32_t symbol) {
    return std::uint64_t{words_[symbol]} << (64 - lengths_[symbol]) | lengths_[symbol];
  };
  std::fill_n(table->word, 256, entry(order_[0]));
  for (std::uint32_t i = 0; i < size(); ++i) table->word[bytes[i]] = entry(i);
  table->pair = nullptr;
  table->rows = nullptr;
  if (to_write >= kRowsFrom && table->mean_length <= kMostMeanLength &&
      kernels().codes.encodes_rows) {
    make_rows(*table, bytes, lengths_);
  }
  if (to_write >= kPairsFrom && table->rows == nullptr) make_pairs(*table);
  return table;
}

std::unique_ptr<ByteDecodeTable> PrefixCode::byte_decode_table(
    std::span<const std::uint8_t> bytes) const {
  auto table = std::make_unique_for_overwrite<ByteDecodeTable>();
  table->word_bits = lookup_bits_;
  table->has_long_words = max_length_ > lookup_bits_;
  std::memcpy(table->limit, limit_, sizeof(limit_));
  std::memcpy(table->offset, offset_, sizeof(offset_));
  for (std::size_t i = 0; i < size(); ++i) table->order[i] = bytes[order_[i]];
  fill_long_words(*table, max_length_);
  for (std::size_t i = 0; i < std::size_t{1} << lookup_bits_; ++i) {
    const std::uint32_t entry = lookup_[i & (lookup_.size() - 1)];
    const bool is_long = (entry & 255) == 255;
    table->single[i] = is_long ? std::uint16_t{0}
                               : static_cast<std::uint16_t>(bytes[entry >> 8] << 8 | (entry & 255));
  }
  repeat(table->single, lookup_bits_);
  table->few_symbols = mean_length() > kFewSymbolsFrom;
  fill_multi_symbol_entries(*table);
  return table;
}

}  // namespace gradwire
