#include "codecs/entropy/entropy_coder.hpp"

#include <algorithm>
#include <bit>

#include "codecs/entropy/fit_blocks.hpp"
#include "codecs/entropy/fit_codec.hpp"
#include "codecs/entropy/fit_form.hpp"
#include "codecs/entropy/form_coder.hpp"
#include "codecs/entropy/judge_blocks.hpp"
#include "gradwire/error.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {
namespace {

/// Codes whole chunks of blocks.
class BlocksEncoder final : public Encoder {
 public:
  BlocksEncoder(const Form& form, ExpectedWords elements)
      : blocks_(make_form_encoder(form, elements)) {
    append_block_model(code_book_, form.blocks, form.dtype);
  }

  std::span<const std::uint8_t> code_book() const override { return code_book_; }

  EncodedChunk encode(const Elements& chunk, std::span<std::uint8_t> out) const override {
    Payload payload(out);
    std::uint64_t code_length = 0;
    blocks_->encode(chunk, payload, code_length);
    return {payload.copy_to(out), code_length};
  }

 private:
  std::vector<std::uint8_t> code_book_;
  std::unique_ptr<SequenceEncoder> blocks_;
};

/// Codes chunks in a form; a chunk that differs much from the others gets a code book of its own.
class FormsEncoder final : public Encoder {
 public:
  FormsEncoder(const FittedForm& fitted, ExpectedWords elements)
      : bits_(fitted.bits), form_(make_form_encoder(fitted.form, elements)) {
    append_form(code_book_, fitted.form);
  }

  std::span<const std::uint8_t> code_book() const override { return code_book_; }
  Layout layout() const override { return Layout::kForms; }

  EncodedChunk encode(const Elements& chunk, std::span<std::uint8_t> out) const override {
    constexpr double kMuchMore = 1.1;
    constexpr double kBookBits = 2000;
    Payload shared(out);
    std::uint64_t bits = 0;
    shared.push_back(0);  // bytes of a code book of its own
    form_->encode(chunk, shared, bits);
    const double expected = bits_ * static_cast<double>(chunk.count);
    if (static_cast<double>(bits) > kMuchMore * expected + kBookBits) {
      Payload own({});
      const std::uint64_t own_bits = encode_alone(chunk, own);
      if (own.bytes().size() < shared.bytes().size()) return {own.copy_to(out), own_bits};
    }
    return {shared.copy_to(out), bits};
  }

 private:
  static std::uint64_t encode_alone(const Elements& chunk, Payload& payload) {
    const ChunkedArray array{chunk, {0, chunk.count}, 1};
    const FittedForm fitted = fit_entropy(array, Fitted::kForThisArray);
    std::vector<std::uint8_t> code_book;
    append_form(code_book, fitted.form);
    append_varint(payload, code_book.size());
    payload.append(code_book);
    std::uint64_t code_length = 0;
    make_form_encoder(fitted.form, chunk.count)->encode(chunk, payload, code_length);
    return code_length;
  }

  double bits_;  // expected for each element
  std::vector<std::uint8_t> code_book_;
  std::unique_ptr<SequenceEncoder> form_;
};

class EntropyDecoder final : public Decoder {
 public:
  EntropyDecoder(const Form& form, const CodedArray& array)
      : array_(array), form_(make_form_decoder(form, array.count)) {}

  void decode(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
              std::uint8_t* out, std::size_t count) const override {
    ByteReader reader(payload);
    const std::uint64_t own_book = array_.layout == Layout::kForms ? reader.varint() : 0;
    if (own_book != 0) {
      const Form own = read_entropy_book(reader.take(own_book), array_);
      make_form_decoder(own, count)->decode(reader, readable_end, out, count);
    } else {
      form_->decode(reader, readable_end, out, count);
    }
    if (reader.left() != 0) {
      throw CorruptFrameError("extra bytes follow the last part of a chunk");
    }
  }

 private:
  CodedArray array_;
  std::unique_ptr<SequenceDecoder> form_;
};

/// Whether the parts of an array differ so much that each chunk should have a form of its own.
/// Looks at signs and powers of two only, as far as they tell more than the bits of an element.
bool is_uneven(const Elements& sample, double bits) {
  constexpr std::size_t kParts = 4;
  constexpr double kMuch = 0.05;
  constexpr double kChance = 30;        // bits by which parts differ by chance
  constexpr std::size_t kMost = 32768;  // elements that tell enough
  constexpr std::size_t kKinds = 130;
  const std::size_t stride = std::max<std::size_t>(5, sample.count / kMost);
  std::vector<std::uint64_t> together(kKinds);
  double apart = 0;
  const std::uint64_t middle = to_key(0, sample.dtype);
  for (std::size_t p = 0; p < kParts; ++p) {
    std::vector<std::uint64_t> counts(kKinds);
    with_width(sample.dtype, [&]<typename T>() {
      const std::size_t end = sample.count * (p + 1) / kParts;
      for (std::size_t i = sample.count * p / kParts; i < end; i += stride) {
        const std::uint64_t key = to_key(load<T>(sample, i), sample.dtype);
        const bool is_below = key < middle;
        ++counts[2 * static_cast<std::size_t>(
                         std::bit_width(is_below ? middle - key : key - middle)) +
                 is_below];
      }
    });
    apart += information(counts);
    for (std::size_t k = 0; k < kKinds; ++k) together[k] += counts[k];
  }
  const double looked_at = static_cast<double>(sample.count) / static_cast<double>(stride);
  return information(together) - apart > kMuch * bits * looked_at + kChance;
}

Sampled sampled_of(const ChunkedArray& array, std::size_t taken, Fitted fitted) {
  const bool is_whole = taken == array.elements.count && fitted == Fitted::kForThisArray;
  return {is_whole, is_whole && array.size() == 1,
          static_cast<double>(array.elements.count) / static_cast<double>(taken),
          fitted == Fitted::kForOthers};
}

}  // namespace

FittedForm fit_entropy(const ChunkedArray& array, Fitted fitted) {
  const KeyRange range = key_range(array);
  const DType dtype = array.elements.dtype;
  const auto fit = [&](const Elements& sample, std::optional<PlainBytes> plain) {
    const Sampled sampled = sampled_of(array, sample.count, fitted);
    FittedForm best = fit_form(sample, sampled, std::move(plain));
    const bool has_chunks = array.size() > 1 && best.form.kind != FormKind::kDifferences;
    if (has_chunks && is_uneven(sample, best.bits)) best.bits = 0;
    if (fitted == Fitted::kForThisArray && array.source == nullptr) {
      if (auto other = fit_codec(array, sample, sampled, best)) return std::move(*other);
    }
    return best;
  };
  const auto room_for = [&](std::uint64_t elements) { return elements * item_size(dtype); };
  if (!range.fits_a_byte()) {
    const Scratch room(room_for(most_sampled_elements(array.elements.count)));
    return fit(take_elements(array, room), std::nullopt);
  }
  const Scratch bytes(most_sampled_bytes(array.elements.count));
  const ByteSample sample = take_bytes(array, bytes);
  const std::size_t size = sample.bytes.size();
  const Sampled sampled = sampled_of(array, size, fitted);
  FittedBlocks blocks = fit_block_model(sample, range.smallest, dtype, sampled);
  const double bits = blocks.bits / static_cast<double>(size);
  const bool near = are_near(sample, sampled, blocks);
  const bool others_may_pay = !array.is_minor && (!near || may_pay(sample, blocks));
  const std::uint64_t others = size - largest(sample.histogram);
  const double of_other = blocks.bits / static_cast<double>(std::max<std::uint64_t>(1, others));
  FittedForm as_blocks{form_of(std::move(blocks.model), dtype), bits};
  if (!others_may_pay) return as_blocks;
  const BlockModel& model = as_blocks.form.blocks;
  const Scratch room(
      room_for(std::max<std::uint64_t>(size, most_sampled_elements(array.elements.count))));
  const auto elements = [&]() -> Elements {
    if (array.source == nullptr) {
      const Elements taken = take_elements(array, room);
      if (count_runs(taken) > 1) return taken;
    }
    from_bytes(sample.bytes.data(), size, model.smallest, model.background, dtype, room.data());
    return {room.data(), size, dtype};
  };
  FittedForm best = fit(elements(), PlainBytes{model, of_other, near});
  return best.bits < bits_of(dtype) ? best : as_blocks;
}

Form read_entropy_book(std::span<const std::uint8_t> code_book, const CodedArray& array) {
  ByteReader reader(code_book);
  Form form;
  if (array.layout == Layout::kForms) {
    form = read_form(reader, array.dtype);
  } else {
    form.dtype = array.dtype;
    form.blocks = read_block_model(reader, array.dtype);
  }
  if (reader.left() != 0) throw CorruptFrameError("code book does not match its declared size");
  return form;
}

std::unique_ptr<Encoder> make_entropy_encoder(const FittedForm& fitted, ExpectedWords elements) {
  if (fitted.form.kind == FormKind::kBlocks) {
    return std::make_unique<BlocksEncoder>(fitted.form, elements);
  }
  return std::make_unique<FormsEncoder>(fitted, elements);
}

std::unique_ptr<Decoder> make_entropy_decoder(const Form& form, const CodedArray& array) {
  return std::make_unique<EntropyDecoder>(form, array);
}

}  // namespace gradwire
