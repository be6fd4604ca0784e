#include "prefix/code_words.hpp"

#include "base/elements.hpp"
#include "prefix/prefix_code.hpp"

namespace gradwire {
namespace {

std::vector<CodeWord> read_code_words(std::span<const std::uint8_t> code_book, DType dtype,
                                      Runs runs) {
  const CodeBook book = read_code_book(code_book, dtype, runs);
  std::vector<CodeWord> words = bits_of_code_words(book);
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i].escape = i == book.symbols.size();
    if (words[i].escape) continue;
    words[i].value = value_of(book.symbols[i].key, dtype);
    words[i].run = book.symbols[i].run;
  }
  return words;
}

}  // namespace

std::vector<CodeWord> bits_of_code_words(const CodeBook& book) {
  const PrefixCode code(book.lengths, PrefixCode::kNeverRead);
  std::vector<CodeWord> words(code.size());
  for (std::size_t i = 0; i < code.size(); ++i) {
    for (unsigned b = 0; b < code.length(i); ++b) {
      words[i].bits += (code.word(i) >> b & 1) ? '1' : '0';
    }
  }
  return words;
}

std::uint64_t value_of(std::uint64_t key, DType dtype) {
  return sign_extend(from_key(key, dtype), dtype);
}

std::vector<CodeWord> code_words_of_values(std::span<const std::uint8_t> code_book,
                                           const CodedArray& array) {
  return read_code_words(code_book, array.dtype, Runs::kNone);
}

std::vector<CodeWord> code_words_with_runs(std::span<const std::uint8_t> code_book,
                                           const CodedArray& array) {
  return read_code_words(code_book, array.dtype, Runs::kListed);
}

}  // namespace gradwire
