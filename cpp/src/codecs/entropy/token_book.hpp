#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <span>

#include "base/elements.hpp"
#include "prefix/code_book.hpp"

namespace gradwire {

/// Code books of tokens (FORMAT.md, section 5.5). A token is a byte other than 0 together with the
/// zeros before it, or zeros alone. If every token is one byte, the code is plain Huffman.

inline constexpr DType kBytes = DType::kInt8;  ///< dtype whose keys number the bytes in code books
inline constexpr std::size_t kMaxTokens = 256;

/// Decoding tables and short code words do not pay off for sequences of fewer bytes.
inline constexpr std::size_t kTokenTablesFrom = std::size_t{1} << 14;

constexpr std::uint8_t byte_of(const Symbol& symbol) {
  return static_cast<std::uint8_t>(from_key(symbol.key, kBytes));
}

bool is_plain(const CodeBook& book);

/// The token table of a book from make_token_book.
TokenTable token_table(std::span<const Symbol> symbols);

using ByteCounts = std::array<std::uint64_t, 256>;
ByteCounts count_bytes(std::span<const std::uint8_t> bytes);

struct FittedBook {
  CodeBook book;
  std::uint64_t bits = 0;  ///< that the sample takes with it
};

/// Bytes that get code words, whether or not a sample has them.
using Alphabet = std::bitset<256>;

/// The better of a plain code and a code with runs for sequences like `sample`, which must not be
/// empty. The code has at least the bytes of the sample. `alphabet`: bytes that a plain code has,
/// too.
FittedBook make_token_book(std::span<const std::uint8_t> sample, const ByteCounts& histogram,
                           const Alphabet& alphabet);

/// Whether the book has the form that make_token_book produces for a sample that is not whole:
/// either all 256 bytes, or some bytes, each with every number of zeros up to the maximum.
bool can_code_others(const CodeBook& book);

/// Throws CorruptFrameError if it is damaged.
CodeBook read_token_book(std::span<const std::uint8_t> bytes);

}  // namespace gradwire
