#pragma once

#include <cstdint>
#include <vector>

#include "base/byte_io.hpp"
#include "base/elements.hpp"
#include "codecs/entropy/block_classes.hpp"
#include "prefix/code_book.hpp"

namespace gradwire {

/// How blocks of bytes are coded (FORMAT.md, section 5.5).
struct BlockModel {
  std::uint64_t smallest = 0;   ///< key that the elements' bytes are counted from
  std::uint8_t background = 0;  ///< the most frequent byte: it becomes 0
  std::vector<CodeBook> books;  ///< of tokens, one for each class
  bool has_exceptions = false;  ///< elements may occur that the books do not contain
  BlockClasses classes;         ///< for encoders

  /// Lowest byte of the elements that become the byte 0.
  std::uint8_t zero(DType dtype) const {
    return static_cast<std::uint8_t>(from_key(smallest, dtype) + background);
  }
};

/// Upper bound on the key that bytes are counted from, so that no byte stands for more than the
/// largest key.
std::uint64_t last_smallest(DType dtype);

/// Appends what decoders need to know of a model.
void append_block_model(std::vector<std::uint8_t>& out, const BlockModel& model, DType dtype);

/// Takes such a model off the front of a code book. Throws CorruptFrameError if it is damaged.
BlockModel read_block_model(ByteReader& code_book, DType dtype);

/// Turns elements into bytes: the lowest byte of each, minus `zero`.
void to_bytes(const Elements& elements, std::uint8_t zero, std::uint8_t* out);

/// Turns bytes back into the elements that to_bytes took. `bytes` may be `out` if elements are
/// bytes.
void from_bytes(const std::uint8_t* bytes, std::size_t count, std::uint64_t smallest,
                std::uint8_t background, DType dtype, std::uint8_t* out);

}  // namespace gradwire
