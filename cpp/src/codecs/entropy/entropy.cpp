// Entropy codec: blocks are sorted into classes, and each class has a code of tokens (FORMAT.md,
// section 5.5). Values that lie too far apart for bytes are coded as by huffman.

#include "codecs/codec_table.hpp"
#include "codecs/entropy/entropy_coder.hpp"
#include "codecs/entropy/entropy_model.hpp"
#include "codecs/entropy/token_book.hpp"
#include "prefix/code_words.hpp"
#include "prefix/value_code.hpp"

namespace gradwire {
namespace {

/// Writes 0 as the number of classes, then a code book of huffman; chunks are those of huffman.
class WideEncoder final : public Encoder {
 public:
  explicit WideEncoder(std::unique_ptr<Encoder> values) : values_(std::move(values)) {
    const auto book = values_->code_book();
    book_bytes_.assign(1, 0);
    book_bytes_.insert(book_bytes_.end(), book.begin(), book.end());
  }

  std::span<const std::uint8_t> code_book() const override { return book_bytes_; }
  EncodedChunk encode(const Elements& chunk, std::span<std::uint8_t> out) const override {
    return values_->encode(chunk, out);
  }

 private:
  std::unique_ptr<Encoder> values_;
  std::vector<std::uint8_t> book_bytes_;
};

std::unique_ptr<Encoder> make_encoder(const ChunkedArray& array, const Options&) {
  if (auto model = fit_entropy_model(array, Fitted::kForThisArray)) {
    return make_entropy_encoder(std::move(*model), array.elements.dtype, array.elements.count);
  }
  const auto counts = count_values(array);
  if (!counts) return nullptr;
  return std::make_unique<WideEncoder>(
      make_value_encoder(array, *counts, Exceptions::kNone, Layouts::kClassic));
}

std::unique_ptr<Decoder> make_decoder(std::span<const std::uint8_t> code_book,
                                      const CodedArray& array) {
  const EntropyBook book = read_entropy_book(code_book, array.dtype);
  if (book.of_class.empty()) return make_value_decoder(book.of_values, array, Exceptions::kNone);
  return make_entropy_decoder(book, array.dtype, array.count);
}

std::vector<CodeWord> code_words_of_classes(std::span<const std::uint8_t> code_book, DType dtype) {
  const EntropyBook books = read_entropy_book(code_book, dtype);
  if (books.of_class.empty()) return code_words_of_values(books.of_values, dtype);
  std::vector<CodeWord> all;
  for (std::size_t k = 0; k < books.of_class.size(); ++k) {
    const CodeBook book = read_token_book(books.of_class[k]);
    std::vector<CodeWord> words = bits_of_code_words(book);
    for (std::size_t i = 0; i < book.symbols.size(); ++i) {
      const auto distance = static_cast<std::uint8_t>(byte_of(book.symbols[i]) + books.background);
      words[i].value = value_of(books.smallest + distance, dtype);
      words[i].run = book.symbols[i].run;
      words[i].block_class = static_cast<unsigned>(k);
    }
    all.insert(all.end(), words.begin(), words.end());
  }
  return all;
}

}  // namespace

const Codec kEntropyCodec = {
    .info = {CodecId::kEntropy, "entropy", "Entropy"},
    .takes_source = true,
    .shares_code_books = true,
    .make_encoder = make_encoder,
    .make_decoder = make_decoder,
    .code_words = code_words_of_classes,
};

}  // namespace gradwire
