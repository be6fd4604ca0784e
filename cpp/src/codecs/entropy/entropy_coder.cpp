#include "codecs/entropy/entropy_coder.hpp"

#include <algorithm>
#include <cstring>

#include "base/scratch.hpp"
#include "codecs/entropy/token_code.hpp"
#include "gradwire/error.hpp"
#include "prefix/exception_list.hpp"

namespace gradwire {
namespace {

class EntropyEncoder final : public Encoder {
 public:
  EntropyEncoder(EntropyModel model, DType dtype, ExpectedWords elements)
      : model_(std::move(model)) {
    book_bytes_.push_back(static_cast<std::uint8_t>(model_.classes.size |
                                                    (model_.has_exceptions ? kExceptionsFlag : 0)));
    for (std::size_t i = 0; i < item_size(dtype); ++i) {
      book_bytes_.push_back(static_cast<std::uint8_t>(model_.smallest >> (8 * i)));
    }
    book_bytes_.push_back(model_.background);
    for (CodeBook& book : model_.books) {
      coders_.emplace_back(std::move(book), elements / model_.classes.size);
      const auto bytes = coders_.back().code_book();
      append_varint(book_bytes_, bytes.size());
      book_bytes_.insert(book_bytes_.end(), bytes.begin(), bytes.end());
    }
  }

  std::span<const std::uint8_t> code_book() const override { return book_bytes_; }

  EncodedChunk encode(const Elements& chunk, std::span<std::uint8_t> out) const override {
    Payload payload(out);
    std::uint64_t code_length = 0;
    const std::uint8_t zero = model_.zero(chunk.dtype);
    const bool are_bytes = chunk.width() == 1 && zero == 0;
    const Scratch room(are_bytes ? 0 : chunk.count);
    if (!are_bytes) to_bytes(chunk, zero, room.data());
    const std::span bytes(are_bytes ? chunk.data : room.data(), chunk.count);
    ExceptionList exceptions = coders_.size() == 1
                                   ? encode_whole(chunk, bytes, payload, code_length)
                                   : encode_classes(chunk, bytes, payload, code_length);
    if (model_.has_exceptions) payload.append(exceptions.bytes(code_length));
    const auto written = payload.bytes();
    if (written.size() > out.size()) return {std::nullopt, code_length};
    if (written.data() != out.data()) std::copy(written.begin(), written.end(), out.begin());
    return {written.size(), code_length};
  }

 private:
  ExceptionList encode_whole(const Elements& chunk, std::span<const std::uint8_t> bytes,
                             Payload& payload, std::uint64_t& code_length) const {
    ExceptionList exceptions(chunk.dtype);
    for (const std::uint32_t place :
         coders_[0].encode({bytes.data(), nullptr, bytes.size()}, payload, code_length)) {
      exceptions.add(chunk, place);
    }
    return exceptions;
  }

  ExceptionList encode_classes(const Elements& chunk, std::span<const std::uint8_t> bytes,
                               Payload& payload, std::uint64_t& code_length) const {
    const std::vector<BlockSigns> signs = block_signs(bytes);
    const ClassOrder order(assign_classes(model_.classes, signs), coders_.size(), bytes.size());
    const TokenEncoder labels(make_token_book(order.classes(), count_bytes(order.classes()), true),
                              0);
    append_varint(payload, labels.code_book().size());
    payload.append(labels.code_book());
    labels.encode({order.classes().data(), nullptr, order.classes().size()}, payload, code_length);

    std::vector<std::size_t> unknown;
    for (std::size_t k = 0; k < coders_.size(); ++k) {
      const auto blocks = order.blocks(k);
      if (blocks.empty()) continue;
      if (coders_[k].has_only_zeros()) {
        find_nonzeros(bytes, blocks, signs, unknown);
        continue;
      }
      for (const std::uint32_t place :
           coders_[k].encode(order.blocks_of(bytes.data(), k), payload, code_length)) {
        unknown.push_back(blocks[place / kBlockSize] * kBlockSize + place % kBlockSize);
      }
    }
    std::sort(unknown.begin(), unknown.end());
    ExceptionList exceptions(chunk.dtype);
    for (const std::size_t place : unknown) exceptions.add(chunk, place);
    return exceptions;
  }

  /// Appends the places of the bytes that are not 0 in the given blocks.
  static void find_nonzeros(std::span<const std::uint8_t> bytes,
                            std::span<const std::uint32_t> blocks,
                            std::span<const BlockSigns> signs, std::vector<std::size_t>& places) {
    for (const std::uint32_t b : blocks) {
      if (signs[b].negative + signs[b].positive == 0) continue;
      const std::size_t first = b * kBlockSize;
      for (std::size_t i = first; i < first + block_bytes(b, bytes.size()); ++i) {
        if (bytes[i] != 0) places.push_back(i);
      }
    }
  }

  EntropyModel model_;
  std::vector<TokenEncoder> coders_;
  std::vector<std::uint8_t> book_bytes_;
};

class EntropyDecoder final : public Decoder {
 public:
  EntropyDecoder(const EntropyBook& book, DType dtype, std::uint64_t count)
      : dtype_(dtype),
        has_exceptions_(book.has_exceptions),
        smallest_(book.smallest),
        background_(book.background) {
    for (const auto& of_class : book.of_class) {
      coders_.emplace_back(of_class, count / book.of_class.size());
    }
  }

  void decode(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
              std::uint8_t* out, std::size_t count) const override {
    ByteReader reader(payload);
    const Scratch room(item_size(dtype_) == 1 ? 0 : count);
    std::uint8_t* const bytes = item_size(dtype_) == 1 ? out : room.data();
    if (coders_.size() == 1) {
      coders_[0].decode(reader, readable_end, {bytes, nullptr, count});
    } else {
      decode_classes(reader, readable_end, {bytes, count});
    }
    from_bytes(bytes, count, smallest_, background_, dtype_, out);
    auto rest = payload.last(reader.left());
    if (has_exceptions_) ExceptionList::take(rest, dtype_, count).apply(out);
    if (!rest.empty()) throw CorruptFrameError("extra bytes follow the last part of a chunk");
  }

 private:
  void decode_classes(ByteReader& reader, const std::uint8_t* readable_end,
                      std::span<std::uint8_t> bytes) const {
    std::vector<std::uint8_t> classes(block_count(bytes.size()));
    const TokenDecoder labels(reader.take(reader.varint()), classes.size());
    labels.decode(reader, readable_end, {classes.data(), nullptr, classes.size()});
    if (*std::max_element(classes.begin(), classes.end()) >= coders_.size()) {
      throw CorruptFrameError("a block has a class that is not in the code book");
    }
    const ClassOrder order(std::move(classes), coders_.size(), bytes.size());
    const auto wants_zeros = [](const TokenDecoder& coder) { return coder.wants_zeros(); };
    if (std::any_of(coders_.begin(), coders_.end(), wants_zeros)) {
      std::memset(bytes.data(), 0, bytes.size());
    }
    for (std::size_t k = 0; k < coders_.size(); ++k) {
      const auto blocks = order.blocks(k);
      if (blocks.empty()) continue;
      coders_[k].decode(reader, readable_end, {bytes.data(), blocks.data(), order.size(k)});
    }
  }

  DType dtype_;
  bool has_exceptions_;
  std::uint64_t smallest_;
  std::uint8_t background_;
  std::vector<TokenDecoder> coders_;
};

}  // namespace

std::unique_ptr<Encoder> make_entropy_encoder(EntropyModel model, DType dtype,
                                              ExpectedWords elements) {
  return std::make_unique<EntropyEncoder>(std::move(model), dtype, elements);
}

std::unique_ptr<Decoder> make_entropy_decoder(const EntropyBook& book, DType dtype,
                                              std::uint64_t count) {
  return std::make_unique<EntropyDecoder>(book, dtype, count);
}

}  // namespace gradwire
