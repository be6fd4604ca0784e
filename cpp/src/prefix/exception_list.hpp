#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/byte_io.hpp"
#include "base/elements.hpp"
#include "prefix/code_book.hpp"
#include "prefix/key_index.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {

/// The values that have code words, to tell all others from them.
class KnownValues {
 public:
  /// `symbols`: ascending, at least one.
  KnownValues(std::span<const Symbol> symbols, DType dtype);

  /// Whether the lowest byte tells these values and those in `range` apart from each other.
  bool fit_bytes(KeyRange range) const;
  const ByteSet& bytes() const { return bytes_; }
  bool has(std::uint64_t key) const { return index_.find(key) != KeyIndex::kNone; }

 private:
  KeyRange range_;
  ByteSet bytes_;
  KeyIndex index_;
};

/// The elements of a chunk whose values have no code word. In the streams, an arbitrary code word
/// takes their place; this list holds their values (FORMAT.md, section 5.3).
class ExceptionList {
 public:
  explicit ExceptionList(DType dtype) : dtype_(dtype) {}

  /// Adds an element of the chunk. Its index must be above those of all others in the list.
  void add(const Elements& chunk, std::uint64_t index);

  /// Finds the elements whose values are not known.
  static ExceptionList find(const Elements& chunk, const KnownValues& known);

  /// The coded list, preceded by its size in bytes. Adds the bits of the list, without its size, to
  /// `code_length`.
  std::vector<std::uint8_t> bytes(std::uint64_t& code_length) const;

  /// Takes the list off the front of `payload`. Throws CorruptFrameError if it is damaged.
  static ExceptionList take(ByteReader& payload, DType dtype, std::size_t count);

  /// Writes the values to their places in `elements`.
  void apply(std::uint8_t* elements) const;

 private:
  struct Item {
    std::uint64_t index;
    std::uint64_t bits;
  };
  DType dtype_;
  std::vector<Item> items_;  // ascending indices
};

}  // namespace gradwire
