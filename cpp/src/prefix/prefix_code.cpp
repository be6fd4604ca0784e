#include "prefix/prefix_code.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "gradwire/error.hpp"

namespace gradwire {
namespace {

/// The lowest `length` bits of a word in reverse order.
std::uint32_t reverse_bits(std::uint32_t word, unsigned length) {
  word = (word & 0x55555555) << 1 | (word >> 1 & 0x55555555);
  word = (word & 0x33333333) << 2 | (word >> 2 & 0x33333333);
  word = (word & 0x0F0F0F0F) << 4 | (word >> 4 & 0x0F0F0F0F);
  word = (word & 0x00FF00FF) << 8 | (word >> 8 & 0x00FF00FF);
  return static_cast<std::uint32_t>(std::uint64_t{word << 16 | word >> 16} << length >> 32);
}

/// The number of bits per lookup that pays off for reading `symbols` symbols: a lookup of more bits
/// yields more symbols, but making one table entry takes as long as several lookups.
unsigned worthwhile_bits(std::uint64_t symbols) {
  constexpr std::uint64_t kFewest = 8;
  constexpr std::uint64_t kMost = kLookupBits;
  return static_cast<unsigned>(
      std::clamp(static_cast<std::uint64_t>(std::bit_width(symbols / 32)), kFewest, kMost));
}

/// Like worthwhile_bits(), for codes of more symbols than bytes can number, which are read word by
/// word: wider tables, though not in the fastest cache, beat code words that are not in the table.
unsigned worthwhile_wide_bits(std::span<const std::uint8_t> lengths, std::uint64_t symbols) {
  constexpr unsigned kMostWide = 16;
  constexpr double kFewLong = 1.0 / 16;  // share of the code words that may be longer
  double share[kMaxCodeLength + 1] = {};
  for (const unsigned length : lengths) share[length] += std::ldexp(1.0, -static_cast<int>(length));
  double longer = 0;
  unsigned bits = kMaxCodeLength;
  for (; bits > kLookupBits && longer + share[bits] < kFewLong; --bits) longer += share[bits];
  const auto affordable = static_cast<unsigned>(std::bit_width(symbols / 8));
  return std::clamp(std::min(bits, affordable), worthwhile_bits(symbols), kMostWide);
}

}  // namespace

PrefixCode::PrefixCode(std::vector<std::uint8_t> lengths, ExpectedWords to_read)
    : lengths_(std::move(lengths)), lookup_bits_(worthwhile_bits(to_read)) {
  std::uint64_t kraft = 0;
  for (const unsigned length : lengths_) {
    if (length > kMaxCodeLength || (length == 0 && lengths_.size() > 1)) {
      throw CorruptFrameError("code book has a code word of " + std::to_string(length) +
                              " bits; 1 to 24 bits are allowed");
    }
    kraft += std::uint64_t{1} << (kMaxCodeLength - length);
    max_length_ = std::max(max_length_, length);
  }
  if (kraft != std::uint64_t{1} << kMaxCodeLength) {
    throw CorruptFrameError("code book is not a complete prefix code: its Kraft sum is not 1");
  }
  assign_words();
  if (to_read == kNeverRead) return;
  constexpr std::size_t kBytes = 256;
  if (size() > kBytes) lookup_bits_ = worthwhile_wide_bits(lengths_, to_read);
  make_lookup();
}

void PrefixCode::assign_words() {
  const std::size_t n = lengths_.size();
  std::uint32_t count[kMaxCodeLength + 2] = {};
  for (const unsigned length : lengths_) ++count[length];
  std::uint32_t position[kMaxCodeLength + 1] = {};  // in order_, of the next symbol of a length
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
  // A sum has no branch that the processor could guess wrong.
  length = 0;
  for (unsigned l = 0; l < kMaxCodeLength; ++l) length += aligned >= limit_[l];
  return order_[offset_[length] + (aligned >> (kMaxCodeLength - length))];
}

double PrefixCode::mean_length() const {
  std::uint64_t bits = 0;
  for (const unsigned length : lengths_) {
    bits += std::uint64_t{length} << (kMaxCodeLength - length);
  }
  return std::ldexp(static_cast<double>(bits), -static_cast<int>(kMaxCodeLength));
}

}  // namespace gradwire
