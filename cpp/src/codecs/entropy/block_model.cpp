#include "codecs/entropy/block_model.hpp"

#include <cstring>

#include "codecs/entropy/token_book.hpp"
#include "gradwire/error.hpp"

namespace gradwire {
namespace {

/// Bit of a model's first byte, next to the number of classes: chunks end with exceptions.
constexpr std::uint8_t kExceptionsFlag = 0x80;

}  // namespace

std::uint64_t last_smallest(DType dtype) {
  const std::uint64_t largest = largest_key(dtype);
  return largest < 256 ? 0 : largest - 255;
}

void append_block_model(std::vector<std::uint8_t>& out, const BlockModel& model, DType dtype) {
  const std::uint8_t exceptions = model.has_exceptions ? kExceptionsFlag : 0;
  out.push_back(static_cast<std::uint8_t>(model.books.size() | exceptions));
  for (std::size_t i = 0; i < item_size(dtype); ++i) {
    out.push_back(static_cast<std::uint8_t>(model.smallest >> (8 * i)));
  }
  out.push_back(model.background);
  for (const CodeBook& book : model.books) {
    const auto bytes = write_code_book(book, kBytes, Runs::kListed);
    append_varint(out, bytes.size());
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
}

BlockModel read_block_model(ByteReader& code_book, DType dtype) {
  BlockModel model;
  const std::uint8_t first = code_book.byte();
  const std::size_t classes = first & ~kExceptionsFlag;
  model.has_exceptions = first & kExceptionsFlag;
  if (classes == 0 || classes > kMaxClasses)
    throw CorruptFrameError("code book has an invalid number of classes; 1 to 16 are allowed");
  const auto smallest = code_book.take(item_size(dtype));
  std::memcpy(&model.smallest, smallest.data(), smallest.size());
  model.background = code_book.byte();
  if (model.smallest > last_smallest(dtype)) {
    throw CorruptFrameError("code book has a smallest value that is too large for the dtype");
  }
  for (std::size_t k = 0; k < classes; ++k) {
    model.books.push_back(read_token_book(code_book.take(code_book.varint())));
  }
  return model;
}

void to_bytes(const Elements& elements, std::uint8_t zero, std::uint8_t* out) {
  kernels().bytes.narrow(elements.data, elements.count, elements.width(), zero, out);
}

void from_bytes(const std::uint8_t* bytes, std::size_t count, std::uint64_t smallest,
                std::uint8_t background, DType dtype, std::uint8_t* out) {
  kernels().bytes.widen(bytes, count, static_cast<std::uint8_t>(-background),
                        from_key(smallest, dtype), item_size(dtype), out);
}

}  // namespace gradwire
