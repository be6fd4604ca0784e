#include "code_book.hpp"
#include "entropy_model.hpp"
#include "frame_header.hpp"
#include "gradwire/frame.hpp"
#include "prefix_code.hpp"
#include "run_length.hpp"
#include "shared_code_book.hpp"
#include "token_book.hpp"

namespace gradwire {

namespace {

/// Code words of a book, without their symbols.
std::vector<CodeWord> words_of(const CodeBook& book) {
  const PrefixCode code(book.lengths, PrefixCode::kNeverRead);
  std::vector<CodeWord> words(code.size());
  for (std::size_t i = 0; i < code.size(); ++i) {
    for (unsigned b = 0; b < code.length(i); ++b) {
      words[i].bits += (code.word(i) >> b & 1) ? '1' : '0';
    }
  }
  return words;
}

/// An element's bits, sign-extended.
std::uint64_t value_of(std::uint64_t key, DType dtype) {
  return sign_extend(from_key(key, dtype), dtype);
}

std::vector<CodeWord> plain_words(std::span<const std::uint8_t> code_book, DType dtype, Runs runs) {
  const CodeBook book = read_code_book(code_book, dtype, runs);
  std::vector<CodeWord> words = words_of(book);
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i].escape = i == book.symbols.size();
    if (words[i].escape) continue;
    words[i].value = value_of(book.symbols[i].key, dtype);
    words[i].run = book.symbols[i].run;
  }
  return words;
}

std::vector<CodeWord> class_words(std::span<const std::uint8_t> code_book, DType dtype) {
  const EntropyBook books = read_entropy_book(code_book, dtype);
  if (books.of_class.empty()) return plain_words(books.of_values, dtype, Runs::kNone);
  std::vector<CodeWord> all;
  for (std::size_t k = 0; k < books.of_class.size(); ++k) {
    const CodeBook book = read_token_book(books.of_class[k]);
    std::vector<CodeWord> words = words_of(book);
    for (std::size_t i = 0; i < book.symbols.size(); ++i) {
      const std::uint8_t byte =
          static_cast<std::uint8_t>(from_key(book.symbols[i].key, DType::kInt8));
      const std::uint8_t distance = static_cast<std::uint8_t>(byte + books.background);
      words[i].value = value_of(books.smallest + distance, dtype);
      words[i].run = book.symbols[i].run;
      words[i].block_class = static_cast<unsigned>(k);
    }
    all.insert(all.end(), words.begin(), words.end());
  }
  return all;
}

}  // namespace

std::vector<CodeWord> code_words(std::span<const std::uint8_t> frame) {
  const ParsedFrame parsed = parse_frame(frame);
  const CodecId id = parsed.codec->info.id;
  if (parsed.code_book.empty() || id == CodecId::kRunLength) return {};
  if (parsed.shared_code_book) {
    return class_words(find_code_book(parsed.code_book)->code_book(), parsed.dtype);
  }
  if (id == CodecId::kEntropy) return class_words(parsed.code_book, parsed.dtype);
  const bool values_only = id == CodecId::kHuffman || id == CodecId::kSampleHuffman;
  return plain_words(parsed.code_book, parsed.dtype, values_only ? Runs::kNone : Runs::kListed);
}

RunLengthWidths run_length_widths(std::span<const std::uint8_t> frame) {
  const ParsedFrame parsed = parse_frame(frame);
  if (parsed.codec->info.id != CodecId::kRunLength || parsed.code_book.empty()) return {};
  RunLengthWidths widths = read_run_length_widths(parsed.code_book, parsed.dtype);
  widths.minimum = sign_extend(from_key(widths.minimum, parsed.dtype), parsed.dtype);
  return widths;
}

}  // namespace gradwire
