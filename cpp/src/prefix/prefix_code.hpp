#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/bit_io.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {

/// A ByteEncodeTable that owns its pairs or rows, if it has any.
struct OwnedEncodeTable : ByteEncodeTable {
  std::unique_ptr<std::uint32_t[]> pairs;
  std::unique_ptr<WordRows> word_rows;
};

/// About how many code words will be coded: many justify tables that take longer to make.
using ExpectedWords = std::uint64_t;

/// A canonical prefix code, built from its lengths alone (FORMAT.md, section 4).
class PrefixCode {
 public:
  /// Value for `to_read` if read() and byte_decode_table() will not be called.
  static constexpr ExpectedWords kNeverRead = ~ExpectedWords{0};

  /// Throws CorruptFrameError unless the Kraft sum is exactly 1.
  PrefixCode(std::vector<std::uint8_t> lengths, ExpectedWords to_read);

  std::size_t size() const { return lengths_.size(); }
  unsigned length(std::size_t symbol) const { return lengths_[symbol]; }
  unsigned max_length() const { return max_length_; }

  /// The symbols in the order of their code words, 00..0 first.
  std::span<const std::uint32_t> in_order() const { return order_; }

  /// The code word of a symbol, its first bit lowest.
  std::uint32_t word(std::size_t symbol) const { return words_[symbol]; }

  void write(BitWriter& writer, std::size_t symbol) const {
    writer.put(words_[symbol], lengths_[symbol]);
  }

  /// Reads one code word. Any bits decode to some symbol, because the Kraft sum is 1.
  std::uint32_t read(BitReader& reader) const;

  /// Tables for symbols that are bytes: symbol i of the code stands for bytes[i]. The code needs
  /// two or more symbols.
  std::unique_ptr<ByteDecodeTable> byte_decode_table(std::span<const std::uint8_t> bytes) const;
  std::unique_ptr<OwnedEncodeTable> byte_encode_table(std::span<const std::uint8_t> bytes,
                                                      ExpectedWords to_write) const;

 private:
  void assign_words();
  void make_lookup();
  double mean_length() const;  // of symbols as frequent as their code words suggest
  std::uint32_t read_long(std::uint64_t bits, unsigned& length) const;

  std::vector<std::uint8_t> lengths_;
  std::vector<std::uint32_t> words_;
  std::vector<std::uint32_t> order_;  // symbols in canonical order: by length, then by number
  // Indexed by the next lookup_bits_ bits: symbol << 8 | length, or 255 if the code word is longer.
  std::vector<std::uint32_t> lookup_;
  std::uint32_t limit_[kMaxCodeLength + 1] = {};  // as in ByteDecodeTable
  std::uint32_t offset_[kMaxCodeLength + 1] = {};
  unsigned max_length_ = 0;
  unsigned lookup_bits_;
};

inline std::uint32_t PrefixCode::read(BitReader& reader) const {
  const std::uint64_t bits = reader.peek();
  const std::uint32_t entry = lookup_[bits & (lookup_.size() - 1)];
  unsigned length = entry & 255;
  std::uint32_t symbol = entry >> 8;
  if (length == 255) symbol = read_long(bits, length);
  reader.skip(length);
  return symbol;
}

}  // namespace gradwire
