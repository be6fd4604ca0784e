#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/coder.hpp"
#include "gradwire/frame.hpp"
#include "prefix/code_book.hpp"

namespace gradwire {

// Code words in readable form.

/// The bits of a book's code words; their symbols are not filled in.
std::vector<CodeWord> bits_of_code_words(const CodeBook& book);

/// The bits of the element with this key, sign-extended for signed types.
std::uint64_t value_of(std::uint64_t key, DType dtype);

/// The code words of a code book of values, and those of a code book of runs.
std::vector<CodeWord> code_words_of_values(std::span<const std::uint8_t> code_book,
                                           const CodedArray& array);
std::vector<CodeWord> code_words_with_runs(std::span<const std::uint8_t> code_book,
                                           const CodedArray& array);

}  // namespace gradwire
