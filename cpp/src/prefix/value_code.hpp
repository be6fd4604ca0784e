#pragma once

#include "base/chunked_array.hpp"
#include "base/coder.hpp"
#include "prefix/byte_code.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {

/// One code word per element: the coder of huffman and sh (FORMAT.md, section 5.3).

enum class Exceptions : bool { kNone, kListed };

/// `counts`: the values that get code words, ascending; at least one. Pass Exceptions::kListed if
/// the array may have other values: each chunk then starts with a list of them.
std::unique_ptr<Encoder> make_value_encoder(const ChunkedArray& array,
                                            std::span<const ValueCount> counts,
                                            Exceptions exceptions, Layouts layouts);

std::unique_ptr<Decoder> make_value_decoder(std::span<const std::uint8_t> code_book,
                                            const CodedArray& array, Exceptions exceptions);

}  // namespace gradwire
