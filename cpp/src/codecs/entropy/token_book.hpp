#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/elements.hpp"
#include "prefix/code_book.hpp"

namespace gradwire {

/// Code books of tokens (FORMAT.md, section 5.5). A token is a byte other than 0 together with the
/// zeros before it, or zeros alone. Where every token is one byte the code is plain Huffman.

inline constexpr DType kBytes = DType::kInt8;  ///< how code books number the bytes
inline constexpr std::size_t kMaxTokens = 256;

/// Sequences shorter than this repay neither tables to decode them nor short code words.
inline constexpr std::size_t kTokenTablesFrom = std::size_t{1} << 14;

/// Bytes of memory for samples that a thread keeps from call to call.
inline constexpr std::size_t kMostKept = std::size_t{16} << 20;

constexpr std::uint8_t byte_of(const Symbol& symbol) {
  return static_cast<std::uint8_t>(from_key(symbol.key, kBytes));
}

bool is_plain(const CodeBook& book);

/// The tokens of a book that make_token_book has made.
TokenTable token_table(std::span<const Symbol> symbols);

using ByteCounts = std::array<std::uint64_t, 256>;
ByteCounts count_bytes(std::span<const std::uint8_t> bytes);

/// The better of a plain code and one with runs for a sequence like `sample`, which has bytes.
/// `is_whole`: the sequences have no other bytes than the sample.
CodeBook make_token_book(std::span<const std::uint8_t> sample, const ByteCounts& histogram,
                         bool is_whole);

/// Whether the book is like those that make_token_book makes for a sample that is not whole: each
/// byte that it has, with any number of zeros up to the most; or all bytes.
bool can_code_others(const CodeBook& book);

/// Throws CorruptFrameError if it is damaged.
CodeBook read_token_book(std::span<const std::uint8_t> bytes);

}  // namespace gradwire
