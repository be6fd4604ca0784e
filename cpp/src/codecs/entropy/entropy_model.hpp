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
  ClassCosts classes;           ///< which blocks belong to which
  std::vector<CodeBook> books;  ///< of each class
  bool has_exceptions;          ///< elements may turn up that the sample lacks

  /// Lowest byte of the elements that become 0.
  std::uint8_t zero(DType dtype) const {
    return static_cast<std::uint8_t>(from_key(smallest, dtype) + background);
  }
};

/// Bit of a code book's first byte, beside the number of classes: chunks end with exceptions.
inline constexpr std::uint8_t kExceptionsFlag = 0x80;

/// A code book of entropy, taken apart (FORMAT.md, section 5.5).
struct EntropyBook {
  bool has_exceptions = false;
  std::uint64_t smallest = 0;
  std::uint8_t background = 0;
  std::vector<std::span<const std::uint8_t>> of_class;  ///< none: the values lie too far apart
  std::span<const std::uint8_t> of_values;              ///< then it is the code book of huffman
};

/// Throws CorruptFrameError if it is damaged; the books in it are not looked at.
EntropyBook read_entropy_book(std::span<const std::uint8_t> code_book, DType dtype);

/// Whether other arrays may follow, with values that this one lacks.
enum class Fitted : bool { kForThisArray, kForOthers };

/// Nothing if the values lie too far apart for bytes.
std::optional<EntropyModel> fit_entropy_model(const ChunkedArray& array, Fitted fitted);

/// The elements as bytes: the lowest byte of each less `zero`.
void to_bytes(const Elements& elements, std::uint8_t zero, std::uint8_t* out);

/// The elements that to_bytes has made these of. `bytes` may be `out` if elements are bytes.
void from_bytes(const std::uint8_t* bytes, std::size_t count, std::uint64_t smallest,
                std::uint8_t background, DType dtype, std::uint8_t* out);

}  // namespace gradwire
