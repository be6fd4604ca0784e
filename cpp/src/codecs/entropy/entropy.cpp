// Entropy codec: blocks are sorted into classes, and each class has a code of tokens (FORMAT.md,
// section 5.5). Elements for which that does not suit take another form first (section 5.6).

#include <string>

#include "base/bit_io.hpp"
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

/// Names of the sequences that a form makes, for readers.
std::vector<std::string> part_names(FormKind kind) {
  switch (kind) {
    case FormKind::kGaps: return {"gaps", "values"};
    case FormKind::kRuns: return {"lengths less 1", "values"};
    case FormKind::kDifferences: return {"differences"};
    case FormKind::kPairs: return {"pairs of bins"};
    default: return {""};
  }
}

/// Words of bytes that are numbers of bins, unless `bins` is null.
void append_words(std::vector<CodeWord>& all, const Form& form, const std::string& part,
                  const Form* bins) {
  for (std::size_t k = 0; k < form.blocks.books.size(); ++k) {
    const CodeBook& book = form.blocks.books[k];
    std::vector<CodeWord> words = bits_of_code_words(book);
    for (std::size_t i = 0; i < book.symbols.size(); ++i) {
      const auto distance =
          static_cast<std::uint8_t>(byte_of(book.symbols[i]) + form.blocks.background);
      words[i].value = value_of(form.blocks.smallest + distance, form.dtype);
      words[i].run = book.symbols[i].run;
      words[i].block_class = static_cast<unsigned>(k);
      words[i].part = part;
      if (bins == nullptr || words[i].value >= bins->bins.size()) continue;
      const BinTable table = bin_table(bins->bins, bins->dtype);
      const std::size_t bin = static_cast<std::size_t>(words[i].value);
      words[i].value = sign_extend(low_bits(table.low[bin], bits_of(bins->dtype)), bins->dtype);
      words[i].field_bits = table.bits[bin];
      words[i].escape = bins->bins.has_escape && bin + 1 == bins->bins.size();
    }
    all.insert(all.end(), words.begin(), words.end());
  }
  const std::vector<std::string> names = part_names(form.kind);
  for (std::size_t i = 0; i < form.parts.size(); ++i) {
    const std::string separator = part.empty() || names[i].empty() ? "" : ", ";
    append_words(all, form.parts[i], part + separator + names[i],
                 form.kind == FormKind::kBins ? &form : nullptr);
  }
}

std::vector<CodeWord> code_words(std::span<const std::uint8_t> code_book, const CodedArray& array) {
  if (array.layout == Layout::kClassic && !code_book.empty() && code_book[0] == kWideBook) {
    return code_words_of_values(code_book.subspan(1), array);
  }
  const Form form = read_entropy_book(code_book, array);
  if (form.kind == FormKind::kCodec) {
    const auto words = find_codec(form.codec.number)->code_words;
    if (words == nullptr) return {};
    return words(form.codec.code_book, {array.dtype, array.count, form.codec.layout});
  }
  std::vector<CodeWord> all;
  append_words(all, form, "", nullptr);
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
