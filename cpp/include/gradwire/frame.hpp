#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "gradwire/array.hpp"
#include "gradwire/codec.hpp"

namespace gradwire {

/// Upper bound of a frame's bytes for this array, whatever the codec and the values.
std::size_t max_compressed_size(const ArrayView& array);

/// Writes one frame to `out` and returns its size in bytes.
/// Throws BufferTooSmallError if `out` is smaller than max_compressed_size(array).
std::size_t compress_into(const ArrayView& array, const Options& options,
                          std::span<std::uint8_t> out);

/// What a frame says of itself.
struct FrameInfo {
  unsigned version = 0;
  CodecId codec = CodecId::kHuffman;
  unsigned layout = 0;  ///< 0: classic, 1: pivot
  DType dtype = DType::kInt8;
  std::vector<std::uint64_t> shape;
  std::uint64_t count = 0;        ///< elements
  std::uint64_t nbytes = 0;       ///< bytes of the decoded array
  std::uint64_t code_length = 0;  ///< bits of all code words (FORMAT.md, section 6)
  std::size_t code_book_bytes = 0;
  std::size_t chunks = 0;
  std::size_t raw_chunks = 0;  ///< chunks stored as they are
  bool checksum = false;
  bool shared_code_book = false;  ///< the frame names one instead of carrying its own
};

/// Whether inspect() reads the whole frame to verify its checksum.
enum class Checksum : bool { kIgnored, kVerified };

/// Parses and checks the frame's structure and its checksum, not the code words.
/// Throws CorruptFrameError, TruncatedFrameError or UnsupportedFormatError.
FrameInfo inspect(std::span<const std::uint8_t> frame, Checksum checksum = Checksum::kVerified);

/// Decodes into `out`, which must have exactly nbytes bytes (BufferTooSmallError if fewer,
/// std::invalid_argument if more), and verifies the checksum on the way. Never writes elsewhere,
/// whatever the bytes of the frame; after an error the content of `out` means nothing.
void decompress_into(std::span<const std::uint8_t> frame, std::span<std::uint8_t> out,
                     int threads = 0);

/// Adds the elements of a frame to those of `sum`, which may be wider; sums wrap around. Needs
/// memory for one chunk per thread; one that holds a single run of rle, elias or rlh may be as
/// large as the array. The checksum is tested first; if a frame without one turns out to be
/// damaged, some elements may have been added. Throws as decompress_into; std::invalid_argument if
/// `sum` has another number of elements.
void decompress_add(std::span<const std::uint8_t> frame, std::span<std::uint8_t> sum,
                    DType sum_dtype, int threads = 0);

/// One code word of a frame's code book.
struct CodeWord {
  std::uint64_t value = 0;   ///< the element's bits, sign-extended for signed types
  std::uint64_t run = 1;     ///< how many times the value stands in a row
  bool escape = false;       ///< announces a value (and run) that the book lacks
  std::string bits;          ///< '0' and '1', first bit on the wire first
  unsigned block_class = 0;  ///< entropy only: the class of blocks that uses it
};

/// The code book of a frame; empty where it has none (rle, elias, all chunks raw).
std::vector<CodeWord> code_words(std::span<const std::uint8_t> frame);

/// Bit widths of an rle frame's pairs (FORMAT.md, section 5.1).
struct RunLengthWidths {
  std::uint64_t minimum = 0;  ///< smallest value's bits, sign-extended for signed types
  unsigned value_bits = 0;
  unsigned run_bits = 0;
};
RunLengthWidths run_length_widths(std::span<const std::uint8_t> frame);

}  // namespace gradwire
