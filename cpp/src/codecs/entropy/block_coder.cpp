#include "codecs/entropy/block_coder.hpp"

#include <algorithm>
#include <cstring>

#include "base/scratch.hpp"
#include "codecs/entropy/token_code.hpp"
#include "gradwire/error.hpp"
#include "prefix/exception_list.hpp"

namespace gradwire {
namespace {

class BlockEncoder final : public SequenceEncoder {
 public:
  BlockEncoder(const BlockModel& model, ExpectedWords elements) : model_(model) {
    for (const CodeBook& book : model.books)
      coders_.emplace_back(book, elements / model.books.size(), model.has_exceptions);
  }

  void encode(const Elements& chunk, Payload& payload, std::uint64_t& code_length) const override {
    const std::uint8_t zero = model_.zero(chunk.dtype);
    const bool are_bytes = chunk.width() == 1 && zero == 0;
    const Scratch room(are_bytes ? 0 : chunk.count);
    if (!are_bytes) to_bytes(chunk, zero, room.data());
    const std::span bytes(are_bytes ? chunk.data : room.data(), chunk.count);
    ExceptionList exceptions = coders_.size() == 1
                                   ? encode_whole(chunk, bytes, payload, code_length)
                                   : encode_classes(chunk, bytes, payload, code_length);
    if (model_.has_exceptions) payload.append(exceptions.bytes(code_length));
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
    const BlockClasses& classes = model_.classes;
    std::vector<BlockSigns> signs;
    if (!classes.groups) signs = block_signs(bytes);
    const ClassOrder order(
        classes.groups
            ? assign_classes(classes.groups->costs, block_groups(classes.groups->of_bytes, bytes))
            : assign_classes(classes.by_sign, signs),
        coders_.size(), bytes.size());
    const TokenEncoder labels(
        make_token_book(order.classes(), count_bytes(order.classes()), {}).book, 0, false);
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

  /// Appends the places of the bytes that are not 0 in the given blocks. `signs` may be empty.
  static void find_nonzeros(std::span<const std::uint8_t> bytes,
                            std::span<const std::uint32_t> blocks,
                            std::span<const BlockSigns> signs, std::vector<std::size_t>& places) {
    for (const std::uint32_t b : blocks) {
      if (!signs.empty() && signs[b].negative + signs[b].positive == 0) continue;
      const std::size_t first = b * kBlockSize;
      for (std::size_t i = first; i < first + block_bytes(b, bytes.size()); ++i) {
        if (bytes[i] != 0) places.push_back(i);
      }
    }
  }

  BlockModel model_;
  std::vector<TokenEncoder> coders_;
};

class BlockDecoder final : public SequenceDecoder {
 public:
  BlockDecoder(const BlockModel& model, DType dtype, std::uint64_t count)
      : dtype_(dtype),
        has_exceptions_(model.has_exceptions),
        smallest_(model.smallest),
        background_(model.background) {
    for (const CodeBook& book : model.books) coders_.emplace_back(book, count / model.books.size());
  }

  void decode(ByteReader& reader, const std::uint8_t* readable_end, std::uint8_t* out,
              std::size_t count) const override {
    const Scratch room(item_size(dtype_) == 1 ? 0 : count);
    std::uint8_t* const bytes = item_size(dtype_) == 1 ? out : room.data();
    if (coders_.size() == 1) {
      coders_[0].decode(reader, readable_end, {bytes, nullptr, count});
    } else {
      decode_classes(reader, readable_end, {bytes, count});
    }
    from_bytes(bytes, count, smallest_, background_, dtype_, out);
    if (has_exceptions_) ExceptionList::take(reader, dtype_, count).apply(out);
  }

 private:
  void decode_classes(ByteReader& reader, const std::uint8_t* readable_end,
                      std::span<std::uint8_t> bytes) const {
    std::vector<std::uint8_t> classes(block_count(bytes.size()));
    const TokenDecoder labels(read_token_book(reader.take(reader.varint())), classes.size());
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

std::unique_ptr<SequenceEncoder> make_block_encoder(const BlockModel& model,
                                                    ExpectedWords elements) {
  return std::make_unique<BlockEncoder>(model, elements);
}

std::unique_ptr<SequenceDecoder> make_block_decoder(const BlockModel& model, DType dtype,
                                                    std::uint64_t count) {
  return std::make_unique<BlockDecoder>(model, dtype, count);
}

}  // namespace gradwire
