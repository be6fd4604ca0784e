#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "codecs/codec_table.hpp"

namespace gradwire {

// Frames of arrays that need not be in memory as a whole.

/// An array that a source makes. All arrays of a source have elements of the same size.
struct StreamedArray {
  DType dtype;
  bool is_coded;  ///< false: stored raw
};

/// Upper bound on the size in bytes of the frame of a streamed array of `count` elements.
std::size_t max_streamed_size(std::uint64_t count, DType dtype = DType::kUInt8);

/// Writes a frame for each array of a source to `out`, one after the other, and returns their
/// sizes. The codec entropy takes each chunk of bytes when it codes it; for other codecs and wider
/// elements, the arrays are made first.
std::vector<std::size_t> compress_source(const ElementSource& source,
                                         std::span<const StreamedArray> arrays, std::uint64_t count,
                                         const Options& options, std::span<std::uint8_t> out);

/// Writes the frame of an array in memory, with all chunks raw.
std::size_t store_into(const ArrayView& array, const Options& options, std::span<std::uint8_t> out);

}  // namespace gradwire
