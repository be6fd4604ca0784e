#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradwire/array.hpp"

namespace gradwire {

/// What one code word stands for: `run` times the value with this key (see to_key).
struct Symbol {
  std::uint64_t key;
  std::uint64_t run;

  friend bool operator==(const Symbol&, const Symbol&) = default;
  friend auto operator<=>(const Symbol&, const Symbol&) = default;
};

/// The largest code book: more symbols cost more than they save.
inline constexpr std::size_t kMaxSymbols = std::size_t{1} << 16;

/// The symbols of a prefix code and the lengths of their code words (FORMAT.md, section 4).
struct CodeBook {
  std::vector<Symbol> symbols;        ///< ascending, no two equal
  bool has_escape = false;            ///< one more code word announces a symbol that is not listed
  std::vector<std::uint8_t> lengths;  ///< of the symbols, then of the escape
};

enum class Runs : bool { kNone, kListed };

/// Runs::kNone leaves the runs out: all are 1.
std::vector<std::uint8_t> write_code_book(const CodeBook& book, DType dtype, Runs runs);

/// Throws CorruptFrameError unless `bytes` are exactly one code book with at least one code word.
CodeBook read_code_book(std::span<const std::uint8_t> bytes, DType dtype, Runs runs);

}  // namespace gradwire
