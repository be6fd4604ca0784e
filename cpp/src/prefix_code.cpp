#include "prefix_code.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <numeric>

#include "gradwire/error.hpp"

namespace gradwire {
namespace {

/// The lowest `length` bits of a word, last one first.
std::uint32_t reverse_bits(std::uint32_t word, unsigned length) {
  word = (word & 0x55555555) << 1 | (word >> 1 & 0x55555555);
  word = (word & 0x33333333) << 2 | (word >> 2 & 0x33333333);
  word = (word & 0x0F0F0F0F) << 4 | (word >> 4 & 0x0F0F0F0F);
  word = (word & 0x00FF00FF) << 8 | (word >> 8 & 0x00FF00FF);
  return static_cast<std::uint32_t>(std::uint64_t{word << 16 | word >> 16} << length >> 32);
}

bool differ_in_low_bits(std::span<const std::uint8_t> bytes) {
  unsigned seen = 0;
  for (const unsigned byte : bytes) {
    const unsigned bit = 1u << (byte & 7);
    if (seen & bit) return false;
    seen |= bit;
  }
  return true;
}

void make_groups(OwnedEncodeTable& table, std::span<const std::uint8_t> bytes) {
  std::uint64_t of_low_bits[8] = {};  // the entry of the byte with these low bits
  for (const unsigned byte : bytes) of_low_bits[byte & 7] = table.word[byte];
  table.groups = std::make_unique<std::uint32_t[]>(kGroups);
  table.group = table.groups.get();
  for (std::uint32_t i = 0; i < 4096; ++i) {
    std::uint64_t words = 0;
    unsigned length = 0;
    bool all_used = true;
    for (unsigned shift = 0; shift < 12; shift += 3) {
      const std::uint64_t entry = of_low_bits[(i >> shift) & 7];
      all_used = all_used && entry != 0;
      const unsigned own = entry & 63;
      if (all_used && length + own <= kGroupBits) words |= entry >> (64 - own) << length;
      length += own;
    }
    if (all_used && length <= kGroupBits) {
      table.groups[i] = static_cast<std::uint32_t>(words) | length << kGroupBits;
    }
  }
}

constexpr unsigned kMostWordBits = 16;   // of WordRows
constexpr double kMostMeanLength = 5.3;  // from which eight words together are often too long

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

/// Mean bits of a code word from which a table of half the size decodes faster.
constexpr double kFewSymbolsFrom = 3.5;

/// Fills a table with its first 2^word_bits entries, which the higher bits of an index do not
/// change.
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

/// The rows that have nearly all symbols, as frequent as their code words suggest; few or none.
std::vector<std::uint8_t> heaviest_rows(std::span<const std::uint8_t> bytes,
                                        std::span<const std::uint8_t> lengths) {
  constexpr double kOthers = 1.0 / 256;
  double weight[16] = {};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (lengths[i] <= kMostWordBits) weight[bytes[i] >> 4] += std::ldexp(1.0, -lengths[i]);
  }
  std::vector<std::uint8_t> rows(16);
  std::iota(rows.begin(), rows.end(), std::uint8_t{0});
  std::stable_sort(rows.begin(), rows.end(),
                   [&](std::uint8_t a, std::uint8_t b) { return weight[a] > weight[b]; });
  for (const std::size_t taken : {2u, 4u, 8u}) {
    double sum = 0;
    for (std::size_t k = 0; k < taken; ++k) sum += weight[rows[k]];
    if (sum < 1 - kOthers) continue;
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

/// A look-up of more bits yields more symbols, but making one of the table's entries takes as long
/// as several look-ups.
unsigned worthwhile_bits(std::uint64_t symbols) {
  constexpr std::uint64_t kFewest = 8;
  constexpr std::uint64_t kMost = kLookupBits;
  return static_cast<unsigned>(
      std::clamp(static_cast<std::uint64_t>(std::bit_width(symbols / 32)), kFewest, kMost));
}

}  // namespace

PrefixCode::PrefixCode(std::vector<std::uint8_t> lengths, std::uint64_t to_read)
    : lengths_(std::move(lengths)), lookup_bits_(worthwhile_bits(to_read)) {
  std::uint64_t kraft = 0;
  for (const unsigned length : lengths_) {
    if (length > kMaxCodeLength || (length == 0 && lengths_.size() > 1)) {
      throw CorruptFrameError("code book has a code word of " + std::to_string(length) + " bits");
    }
    kraft += std::uint64_t{1} << (kMaxCodeLength - length);
    max_length_ = std::max(max_length_, length);
  }
  if (kraft != std::uint64_t{1} << kMaxCodeLength) {
    throw CorruptFrameError("code book is not a complete prefix code");
  }
  assign_words();
  if (to_read > 0) make_lookup();
}

void PrefixCode::assign_words() {
  const std::size_t n = lengths_.size();
  std::uint32_t count[kMaxCodeLength + 2] = {};
  for (const unsigned length : lengths_) ++count[length];
  std::uint32_t position[kMaxCodeLength + 1] = {};  // of the next symbol of a length, in order_
  std::uint32_t first[kMaxCodeLength + 1] = {};     // code word of the next symbol of a length
  std::uint32_t symbols = 0;
  std::uint32_t code = 0;
  for (unsigned l = 0; l <= kMaxCodeLength; ++l) {
    code <<= 1;
    position[l] = symbols;
    first[l] = code;
    offset_[l] = symbols - code;
    symbols += count[l];
    code += count[l];
    limit_[l] = code << (kMaxCodeLength - l);
  }
  order_.resize(n);
  words_.resize(n);
  for (std::uint32_t symbol = 0; symbol < n; ++symbol) {
    const unsigned length = lengths_[symbol];
    order_[position[length]++] = symbol;
    words_[symbol] = reverse_bits(first[length]++, length);
  }
}

void PrefixCode::make_lookup() {
  lookup_.assign(std::size_t{1} << std::min(max_length_, lookup_bits_), 255);
  for (std::uint32_t symbol = 0; symbol < size(); ++symbol) {
    const unsigned length = lengths_[symbol];
    if (length > lookup_bits_) continue;
    for (std::size_t i = words_[symbol]; i < lookup_.size(); i += std::size_t{1} << length) {
      lookup_[i] = symbol << 8 | length;
    }
  }
}

std::uint32_t PrefixCode::read_long(std::uint64_t bits, unsigned& length) const {
  const std::uint32_t aligned = reverse_bits(static_cast<std::uint32_t>(bits & 0xFFFFFF), 24);
  length = lookup_bits_ + 1;
  while (length < max_length_ && aligned >= limit_[length]) ++length;
  return order_[offset_[length] + (aligned >> (kMaxCodeLength - length))];
}

double PrefixCode::mean_length() const {
  std::uint64_t bits = 0;
  for (const unsigned length : lengths_) {
    bits += std::uint64_t{length} << (kMaxCodeLength - length);
  }
  return std::ldexp(static_cast<double>(bits), -static_cast<int>(kMaxCodeLength));
}

std::unique_ptr<OwnedEncodeTable> PrefixCode::byte_encode_table(std::span<const std::uint8_t> bytes,
                                                                bool for_large) const {
  auto table = std::make_unique_for_overwrite<OwnedEncodeTable>();
  table->mean_length = mean_length();
  const auto entry = [&](std::uint32_t symbol) {
    return std::uint64_t{words_[symbol]} << (64 - lengths_[symbol]) | lengths_[symbol];
  };
  std::fill_n(table->word, 256, entry(order_[0]));
  for (std::uint32_t i = 0; i < size(); ++i) table->word[bytes[i]] = entry(i);
  table->group = nullptr;
  table->rows = nullptr;
  if (for_large && differ_in_low_bits(bytes)) {
    make_groups(*table, bytes);
  } else if (for_large && table->mean_length <= kMostMeanLength) {
    make_rows(*table, bytes, lengths_);
  }
  return table;
}

std::unique_ptr<ByteDecodeTable> PrefixCode::byte_decode_table(
    std::span<const std::uint8_t> bytes) const {
  auto table = std::make_unique_for_overwrite<ByteDecodeTable>();
  table->word_bits = lookup_bits_;
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
