#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradwire/array.hpp"

namespace gradwire {

/// What one code word stands for: the value with this key (see to_key), `run` times in a row.
struct Symbol {
  std::uint64_t key;
  std::uint64_t run;

  friend bool operator==(const Symbol&, const Symbol&) = default;
  friend auto operator<=>(const Symbol&, const Symbol&) = default;
};

/// Largest number of symbols in a code book: more would cost more than they save.
inline constexpr std::size_t kMaxSymbols = std::size_t{1} << 16;

/// The symbols of a prefix code and the lengths of their code words (FORMAT.md, section 4).
struct CodeBook {
  std::vector<Symbol> symbols;        ///< ascending and distinct
  bool has_escape = false;            ///< one more code word announces a symbol that is not listed
  std::vector<std::uint8_t> lengths;  ///< bits; the escape comes last
};

enum class Runs : bool { kNone, kListed };

/// With Runs::kNone, the runs are not written: all of them must be 1.
std::vector<std::uint8_t> write_code_book(const CodeBook& book, DType dtype, Runs runs);

/// Throws CorruptFrameError unless `bytes` are exactly one code book with at least one code word.
CodeBook read_code_book(std::span<const std::uint8_t> bytes, DType dtype, Runs runs);

}  // namespace gradwire
