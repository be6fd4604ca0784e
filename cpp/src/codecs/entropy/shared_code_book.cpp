// Shared code books: code books of entropy, plus what an encoder needs (FORMAT.md, section 8).

#include "gradwire/shared_code_book.hpp"

#include <algorithm>
#include <stdexcept>

#include "base/byte_io.hpp"
#include "codecs/entropy/entropy_coder.hpp"
#include "codecs/entropy/token_book.hpp"
#include "codecs/loaded_code_book.hpp"
#include "gradwire/error.hpp"

namespace gradwire {
namespace {

constexpr std::uint8_t kBookMagic[3] = {'G', 'B', 1};
constexpr std::uint64_t kExpected = std::uint64_t{1} << 20;  // elements that tables are sized for

void append_costs(std::vector<std::uint8_t>& out, const ClassCosts& costs) {
  for (const auto* of : {costs.label, costs.negative, costs.zero, costs.positive}) {
    for (std::size_t k = 0; k < costs.size; ++k) {
      append_varint(out, static_cast<std::uint64_t>(std::max(0, of[k])));
    }
  }
}

ClassCosts read_costs(ByteReader& reader, std::size_t classes) {
  ClassCosts costs{};
  costs.size = classes;
  for (auto* of : {costs.label, costs.negative, costs.zero, costs.positive}) {
    for (std::size_t k = 0; k < classes; ++k) {
      const std::uint64_t cost = reader.varint();
      if (cost > kMostCost)
        throw CorruptFrameError("shared code book has an invalid cost; at most 4096 is allowed");
      of[k] = static_cast<std::int32_t>(cost);
    }
  }
  return costs;
}

/// Loads a code book from bytes that may be damaged.
std::shared_ptr<const LoadedCodeBook> load(std::vector<std::uint8_t> bytes) {
  ByteReader reader(bytes, Extent::kFrame);
  const auto magic = reader.take(3);
  if (magic[0] != kBookMagic[0] || magic[1] != kBookMagic[1]) {
    throw CorruptFrameError("not a shared code book: the first two bytes are not 'GB'");
  }
  const std::uint8_t dtype = reader.byte();
  if (magic[2] != kBookMagic[2] || dtype >= kDTypeCount) {
    throw UnsupportedFormatError(
        "shared code book has a version or dtype that this version of gradwire does not know");
  }
  BookCoders coders{};
  coders.dtype = static_cast<DType>(dtype);
  const std::span<const std::uint8_t> code_book = reader.take(reader.varint());
  const EntropyBook book = read_entropy_book(code_book, coders.dtype);
  if (book.of_class.empty() || !book.has_exceptions) {
    throw CorruptFrameError(
        "shared code book cannot code every array: it lacks classes or exceptions");
  }
  EntropyModel model{};
  model.smallest = coders.smallest = book.smallest;
  model.background = book.background;
  model.has_exceptions = true;
  model.classes = read_costs(reader, book.of_class.size());
  if (reader.left() != 0)
    throw CorruptFrameError("extra bytes follow the end of a shared code book");
  for (const auto& of_class : book.of_class) {
    model.books.push_back(read_token_book(of_class));
    if (!can_code_others(model.books.back())) {
      throw CorruptFrameError("shared code book cannot code every array: a class lacks tokens");
    }
  }
  coders.encoder = make_entropy_encoder(std::move(model), coders.dtype, kExpected);
  coders.decoder = make_entropy_decoder(book, coders.dtype, kExpected);
  if (!std::ranges::equal(coders.encoder->code_book(), code_book)) {
    throw CorruptFrameError("shared code book is not in the form that gradwire writes");
  }
  return publish(std::make_shared<LoadedCodeBook>(std::move(bytes), code_book, std::move(coders)));
}

}  // namespace

std::shared_ptr<const SharedCodeBook> SharedCodeBook::fit(const ArrayView& sample) {
  ChunkedArray array{};
  std::uint64_t count = 1;
  for (const std::uint64_t dimension : sample.shape) count *= dimension;
  if (count == 0)
    throw std::invalid_argument(
        "cannot fit a code book to an empty array; pass a sample that has elements");
  array.elements = {static_cast<const std::uint8_t*>(sample.data), static_cast<std::size_t>(count),
                    sample.dtype};
  array.borders = {0, count};
  array.threads = 1;
  auto model = fit_entropy_model(array, Fitted::kForOthers);
  if (!model) {
    throw std::invalid_argument(
        "cannot fit a code book: the values of the sample lie more than 255 apart");
  }
  std::vector<std::uint8_t> bytes(std::begin(kBookMagic), std::end(kBookMagic));
  bytes.push_back(static_cast<std::uint8_t>(sample.dtype));
  const ClassCosts classes = model->classes;
  const auto encoder = make_entropy_encoder(std::move(*model), sample.dtype, 0);
  append_varint(bytes, encoder->code_book().size());
  bytes.insert(bytes.end(), encoder->code_book().begin(), encoder->code_book().end());
  append_costs(bytes, classes);
  return std::make_shared<SharedCodeBook>(load(std::move(bytes)));
}

std::shared_ptr<const SharedCodeBook> SharedCodeBook::read(std::span<const std::uint8_t> bytes) {
  return std::make_shared<SharedCodeBook>(load({bytes.begin(), bytes.end()}));
}

std::span<const std::uint8_t> SharedCodeBook::bytes() const { return loaded_->bytes(); }

}  // namespace gradwire
