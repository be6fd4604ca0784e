// Entropy codec: blocks are sorted into classes, and each class has a code of tokens (FORMAT.md,
// section 5.5). Elements for which that does not suit take another form first (section 5.6).

#include <algorithm>

#include "codecs/codec_table.hpp"
#include "codecs/entropy/block_coder.hpp"
#include "codecs/entropy/entropy_coder.hpp"
#include "codecs/entropy/token_book.hpp"
#include "prefix/code_words.hpp"
#include "prefix/value_code.hpp"

namespace gradwire {
namespace {

std::unique_ptr<Encoder> make_encoder(const ChunkedArray& array, const Options&) {
  return make_entropy_encoder(fit_entropy(array, Fitted::kForThisArray), array.elements.count);
}

std::unique_ptr<Decoder> make_decoder(std::span<const std::uint8_t> code_book,
                                      const CodedArray& array) {
  if (array.layout == Layout::kClassic && !code_book.empty() && code_book[0] == kWideBook) {
    return make_value_decoder(code_book.subspan(1), array, Exceptions::kNone);
  }
  return make_entropy_decoder(read_entropy_book(code_book, array), array);
}

void append_words(std::vector<CodeWord>& all, const Form& form) {
  for (std::size_t k = 0; k < form.blocks.books.size(); ++k) {
    const CodeBook& book = form.blocks.books[k];
    std::vector<CodeWord> words = bits_of_code_words(book);
    for (std::size_t i = 0; i < book.symbols.size(); ++i) {
      const auto distance =
          static_cast<std::uint8_t>(byte_of(book.symbols[i]) + form.blocks.background);
      words[i].value = value_of(form.blocks.smallest + distance, form.dtype);
      words[i].run = book.symbols[i].run;
      words[i].block_class = static_cast<unsigned>(k);
    }
    all.insert(all.end(), words.begin(), words.end());
  }
  for (const Form& part : form.parts) append_words(all, part);
}

std::vector<CodeWord> code_words(std::span<const std::uint8_t> code_book, const CodedArray& array) {
  if (array.layout == Layout::kClassic && !code_book.empty() && code_book[0] == kWideBook) {
    return code_words_of_values(code_book.subspan(1), array);
  }
  std::vector<CodeWord> all;
  append_words(all, read_entropy_book(code_book, array));
  return all;
}

}  // namespace

const Codec kEntropyCodec = {
    .info = {CodecId::kEntropy, "entropy", "Entropy"},
    .has_forms = true,
    .takes_source = true,
    .shares_code_books = true,
    .make_encoder = make_encoder,
    .make_decoder = make_decoder,
    .code_words = code_words,
};

}  // namespace gradwire
