#pragma once

#include "base/chunked_array.hpp"
#include "base/coder.hpp"
#include "codecs/entropy/fit_form.hpp"
#include "codecs/entropy/form.hpp"
#include "prefix/prefix_code.hpp"

namespace gradwire {

/// The first byte of a code book that is one of huffman otherwise; older versions wrote these.
inline constexpr std::uint8_t kWideBook = 0;

/// Whether a form will code only this array, or also others with values that this one lacks.
enum class Fitted : bool { kForThisArray, kForOthers };

/// Fits a form to an array that is not empty.
FittedForm fit_entropy(const ChunkedArray& array, Fitted fitted);

/// Reads a code book of entropy that is not one of huffman. Throws CorruptFrameError if it is
/// damaged.
Form read_entropy_book(std::span<const std::uint8_t> code_book, const CodedArray& array);

std::unique_ptr<Encoder> make_entropy_encoder(const FittedForm& fitted, ExpectedWords elements);

/// Throws CorruptFrameError if a code book is damaged.
std::unique_ptr<Decoder> make_entropy_decoder(const Form& form, const CodedArray& array);

}  // namespace gradwire
