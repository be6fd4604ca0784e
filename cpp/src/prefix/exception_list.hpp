#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/elements.hpp"
#include "prefix/code_book.hpp"

namespace gradwire {

/// Elements of a chunk whose value has no code word. The streams carry any code word in their
/// place; this list carries their values (FORMAT.md, section 5.3).
class ExceptionList {
 public:
  explicit ExceptionList(DType dtype) : dtype_(dtype) {}

  /// Adds an element of the chunk behind all others.
  void add(const Elements& chunk, std::uint64_t index);

  /// Finds the elements whose keys are not among the ascending `symbols`.
  static ExceptionList find(const Elements& chunk, std::span<const Symbol> symbols);

  /// The list as it stands at the front of a chunk, its size included. Adds the bits that the
  /// list itself takes to `code_length`.
  std::vector<std::uint8_t> bytes(std::uint64_t& code_length) const;

  /// Takes the list off the front of `payload`. Throws CorruptFrameError if it is damaged.
  static ExceptionList take(std::span<const std::uint8_t>& payload, DType dtype, std::size_t count);

  /// Puts the values into their places.
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
