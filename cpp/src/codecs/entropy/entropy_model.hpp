#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "codecs/codec_table.hpp"
#include "codecs/entropy/block_classes.hpp"
#include "prefix/code_book.hpp"

namespace gradwire {

/// What the codec entropy learns from a sample of the blocks before it codes them all.
struct EntropyModel {
  std::uint64_t smallest;       ///< key that the elements' bytes are counted from
  std::uint8_t background;      ///< the most frequent byte: it becomes 0
  ClassCosts classes;           ///< costs that assign blocks to classes
  std::vector<CodeBook> books;  ///< one for each class
  bool has_exceptions;          ///< elements may occur that the sample does not contain

  /// Lowest byte of the elements that become the byte 0.
  std::uint8_t zero(DType dtype) const {
    return static_cast<std::uint8_t>(from_key(smallest, dtype) + background);
  }
};

/// Bit of a code book's first byte, next to the number of classes: chunks end with exceptions.
inline constexpr std::uint8_t kExceptionsFlag = 0x80;

/// The parts of a code book of entropy (FORMAT.md, section 5.5).
struct EntropyBook {
  bool has_exceptions = false;
  std::uint64_t smallest = 0;
  std::uint8_t background = 0;
  std::vector<std::span<const std::uint8_t>> of_class;  ///< empty if values lie too far apart
  std::span<const std::uint8_t> of_values;              ///< the code book of huffman in that case
};

/// Throws CorruptFrameError if it is damaged. Does not check the books in it.
EntropyBook read_entropy_book(std::span<const std::uint8_t> code_book, DType dtype);

/// Whether the model will code only this array, or also others with values that this one lacks.
enum class Fitted : bool { kForThisArray, kForOthers };

/// Returns nullopt if the values lie too far apart for bytes.
std::optional<EntropyModel> fit_entropy_model(const ChunkedArray& array, Fitted fitted);

/// Turns elements into bytes: the lowest byte of each, minus `zero`.
void to_bytes(const Elements& elements, std::uint8_t zero, std::uint8_t* out);

/// Turns bytes back into the elements that to_bytes took. `bytes` may be `out` if elements are
/// bytes.
void from_bytes(const std::uint8_t* bytes, std::size_t count, std::uint64_t smallest,
                std::uint8_t background, DType dtype, std::uint8_t* out);

}  // namespace gradwire
