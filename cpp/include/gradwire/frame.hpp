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

/// Upper bound on the size in bytes of a frame of this array, for any codec and any values.
std::size_t max_compressed_size(const ArrayView& array);

/// Writes one frame to `out` and returns its size in bytes.
/// Throws BufferTooSmallError if `out` is smaller than max_compressed_size(array).
std::size_t compress_into(const ArrayView& array, const Options& options,
                          std::span<std::uint8_t> out);

/// What a frame says about itself.
struct FrameInfo {
  unsigned version = 0;
  CodecId codec = CodecId::kHuffman;
  unsigned layout = 0;  ///< 0: classic, 1: pivot
  DType dtype = DType::kInt8;
  std::vector<std::uint64_t> shape;
  std::uint64_t count = 0;        ///< number of elements
  std::uint64_t nbytes = 0;       ///< bytes of the decoded array
  std::uint64_t code_length = 0;  ///< bits of all code words (FORMAT.md, section 6)
  std::size_t code_book_bytes = 0;
  std::size_t chunks = 0;
  std::size_t raw_chunks = 0;  ///< chunks stored without coding
  bool checksum = false;
  bool shared_code_book = false;  ///< the frame names a code book instead of carrying one
};

/// Whether inspect() reads the whole frame to verify its checksum.
enum class Checksum : bool { kIgnored, kVerified };

/// Parses the frame and checks its structure and its checksum, but not the code words. Throws
/// CorruptFrameError, TruncatedFrameError or UnsupportedFormatError.
FrameInfo inspect(std::span<const std::uint8_t> frame, Checksum checksum = Checksum::kVerified);

/// Decodes into `out`, which must have exactly nbytes bytes (BufferTooSmallError if fewer,
/// std::invalid_argument if more), and verifies the checksum. Never writes outside of `out`,
/// whatever the frame contains; after an error, the content of `out` is unspecified.
void decompress_into(std::span<const std::uint8_t> frame, std::span<std::uint8_t> out,
                     int threads = 0);

/// Adds the elements of a frame to those of `sum`, which may have another dtype, but not bool;
/// overflow wraps around. Needs memory for one chunk per thread; a chunk of rle, elias or rlh that
/// holds one long run may be as large as the array. The checksum is verified first; if a frame
/// without a checksum turns out to be damaged, some elements may already have been added. Throws
/// like decompress_into, but std::invalid_argument whenever `sum` has more or fewer elements than
/// the frame.
void decompress_add(std::span<const std::uint8_t> frame, std::span<std::uint8_t> sum,
                    DType sum_dtype, int threads = 0);

/// One code word of a frame's code book.
struct CodeWord {
  std::uint64_t value = 0;   ///< the element's bits, sign-extended for signed types
  std::uint64_t run = 1;     ///< how many times in a row the value occurs
  bool escape = false;       ///< announces a value (and run) that is not in the book
  std::string bits;          ///< characters '0' and '1' in the order on the wire
  unsigned block_class = 0;  ///< entropy only: the class of blocks that uses it
  /// entropy with forms only: the sequence that it belongs to, such as "gaps" or "values".
  std::string part;
  unsigned field_bits = 0;  ///< plain bits that say how far above `value` the element is
};

/// The code words of a frame's code book; empty if it has none (rle, elias, all chunks raw).
std::vector<CodeWord> code_words(std::span<const std::uint8_t> frame);

/// Bit widths of the pairs in an rle frame (FORMAT.md, section 5.1).
struct RunLengthWidths {
  std::uint64_t minimum = 0;  ///< smallest value's bits, sign-extended for signed types
  unsigned value_bits = 0;
  unsigned run_bits = 0;
};
RunLengthWidths run_length_widths(std::span<const std::uint8_t> frame);

}  // namespace gradwire
