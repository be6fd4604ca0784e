#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradwire/frame.hpp"
#include "prefix/code_book.hpp"

namespace gradwire {

// Code words for people to look at.

/// Code words of a book, without their symbols.
std::vector<CodeWord> bits_of_code_words(const CodeBook& book);

/// An element's bits, sign-extended for signed types.
std::uint64_t value_of(std::uint64_t key, DType dtype);

/// The code words of a code book that stands for values, and of one for runs of values.
std::vector<CodeWord> code_words_of_values(std::span<const std::uint8_t> code_book, DType dtype);
std::vector<CodeWord> code_words_with_runs(std::span<const std::uint8_t> code_book, DType dtype);

}  // namespace gradwire
