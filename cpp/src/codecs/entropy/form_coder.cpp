#include "codecs/entropy/form_coder.hpp"

#include <algorithm>

#include "base/scratch.hpp"
#include "codecs/codec_table.hpp"
#include "codecs/entropy/block_coder.hpp"
#include "codecs/entropy/parts.hpp"
#include "gradwire/error.hpp"

namespace gradwire {
namespace {

class BinsEncoder final : public SequenceEncoder {
 public:
  BinsEncoder(const Form& form, ExpectedWords elements)
      : finder_(bin_finder(form.bins, form.dtype, elements)),
        table_(bin_table(form.bins, form.dtype)),
        symbols_(make_form_encoder(form.parts[0], elements)) {}

  void encode(const Elements& sequence, Payload& payload,
              std::uint64_t& code_length) const override {
    const Scratch symbols(sequence.count);
    const Scratch fields(fields_room(table_, sequence.count));
    const std::size_t bits = kernels().bins.write(&finder_, &table_, sequence.data, sequence.count,
                                                  sequence.width(), symbols.data(), fields.data());
    symbols_->encode({symbols.data(), sequence.count, DType::kUInt8}, payload, code_length);
    append_varint(payload, (bits + 7) / 8);
    payload.append({fields.data(), (bits + 7) / 8});
    code_length += bits;
  }

 private:
  OwnedBinFinder finder_;
  BinTable table_;
  std::unique_ptr<SequenceEncoder> symbols_;
};

class BinsDecoder final : public SequenceDecoder {
 public:
  BinsDecoder(const Form& form, ExpectedWords elements)
      : width_(item_size(form.dtype)),
        bins_(form.bins.size()),
        table_(bin_table(form.bins, form.dtype)),
        symbols_(make_form_decoder(form.parts[0], elements)) {}

  void decode(ByteReader& payload, const std::uint8_t* readable_end, std::uint8_t* out,
              std::size_t count) const override {
    const Scratch room(count);
    const std::span<std::uint8_t> symbols(room.data(), count);
    symbols_->decode(payload, readable_end, symbols.data(), count);
    if (*std::max_element(symbols.begin(), symbols.end()) >= bins_) {
      throw CorruptFrameError("a symbol has no bin in the code book");
    }
    const auto fields = payload.take(payload.varint());
    if (!kernels().bins.read(&table_, symbols.data(), count, width_, fields.data(),
                             fields.data() + fields.size(), out)) {
      throw CorruptFrameError("the fields of bins do not end where their bytes end");
    }
  }

 private:
  std::size_t width_;
  std::size_t bins_;
  BinTable table_;
  std::unique_ptr<SequenceDecoder> symbols_;
};

/// Elements that differ from the background, or runs.
class PartsEncoder final : public SequenceEncoder {
 public:
  PartsEncoder(const Form& form, ExpectedWords elements)
      : kind_(form.kind),
        background_(form.background),
        counts_(make_form_encoder(form.parts[0], elements)),
        values_(make_form_encoder(form.parts[1], elements)) {}

  void encode(const Elements& sequence, Payload& payload,
              std::uint64_t& code_length) const override {
    const Scratch room(parts_room(sequence.count, sequence.width()));
    const TwoParts parts = kind_ == FormKind::kGaps ? split_gaps(sequence, background_, room)
                                                    : split_runs(sequence, room);
    append_varint(payload, parts.counts.count);
    if (parts.counts.count == 0) return;
    counts_->encode(parts.counts, payload, code_length);
    values_->encode(parts.values, payload, code_length);
  }

 private:
  FormKind kind_;
  std::uint64_t background_;
  std::unique_ptr<SequenceEncoder> counts_;
  std::unique_ptr<SequenceEncoder> values_;
};

class PartsDecoder final : public SequenceDecoder {
 public:
  PartsDecoder(const Form& form, ExpectedWords elements)
      : kind_(form.kind),
        dtype_(form.dtype),
        background_(form.background),
        counts_(make_form_decoder(form.parts[0], elements)),
        values_(make_form_decoder(form.parts[1], elements)) {}

  void decode(ByteReader& payload, const std::uint8_t* readable_end, std::uint8_t* out,
              std::size_t count) const override {
    const std::uint64_t size = payload.varint();
    if (size > count) throw CorruptFrameError("a part of a chunk has more elements than the chunk");
    const std::size_t parts = static_cast<std::size_t>(size);
    const Scratch counts(parts * item_size(kCounts));
    const Scratch values(parts * item_size(dtype_));
    if (parts > 0) {
      counts_->decode(payload, readable_end, counts.data(), parts);
      values_->decode(payload, readable_end, values.data(), parts);
    }
    const TwoParts both{{counts.data(), parts, kCounts}, {values.data(), parts, dtype_}};
    if (kind_ == FormKind::kGaps) {
      join_gaps(both, background_, out, count);
    } else {
      join_runs(both, out, count);
    }
  }

 private:
  FormKind kind_;
  DType dtype_;
  std::uint64_t background_;
  std::unique_ptr<SequenceDecoder> counts_;
  std::unique_ptr<SequenceDecoder> values_;
};

class DifferencesEncoder final : public SequenceEncoder {
 public:
  DifferencesEncoder(const Form& form, ExpectedWords elements)
      : differences_(make_form_encoder(form.parts[0], elements)) {}

  void encode(const Elements& sequence, Payload& payload,
              std::uint64_t& code_length) const override {
    const Scratch room(sequence.nbytes());
    differences_->encode(differences(sequence, room), payload, code_length);
  }

 private:
  std::unique_ptr<SequenceEncoder> differences_;
};

class DifferencesDecoder final : public SequenceDecoder {
 public:
  DifferencesDecoder(const Form& form, ExpectedWords elements)
      : dtype_(form.dtype), differences_(make_form_decoder(form.parts[0], elements)) {}

  void decode(ByteReader& payload, const std::uint8_t* readable_end, std::uint8_t* out,
              std::size_t count) const override {
    differences_->decode(payload, readable_end, out, count);
    add_up(out, count, dtype_);
  }

 private:
  DType dtype_;
  std::unique_ptr<SequenceDecoder> differences_;
};

class PairsEncoder final : public SequenceEncoder {
 public:
  PairsEncoder(const Form& form, ExpectedWords elements)
      : base_(form.base), pairs_(make_form_encoder(form.parts[0], elements / 2)) {}

  void encode(const Elements& sequence, Payload& payload,
              std::uint64_t& code_length) const override {
    const Scratch room(sequence.count / 2 + 1);
    pairs_->encode(pairs(sequence, base_, room), payload, code_length);
  }

 private:
  std::uint8_t base_;
  std::unique_ptr<SequenceEncoder> pairs_;
};

class PairsDecoder final : public SequenceDecoder {
 public:
  PairsDecoder(const Form& form, ExpectedWords elements)
      : base_(form.base), pairs_(make_form_decoder(form.parts[0], elements / 2)) {}

  void decode(ByteReader& payload, const std::uint8_t* readable_end, std::uint8_t* out,
              std::size_t count) const override {
    const std::size_t size = count / 2 + count % 2;
    const Scratch room(size);
    pairs_->decode(payload, readable_end, room.data(), size);
    split_pairs(room.data(), base_, out, count);
  }

 private:
  std::uint8_t base_;
  std::unique_ptr<SequenceDecoder> pairs_;
};

/// Whole chunks, coded by another codec.
class CodecEncoder final : public SequenceEncoder {
 public:
  explicit CodecEncoder(const OtherCodec& codec) : encoder_(codec.encoder) {}

  void encode(const Elements& sequence, Payload& payload,
              std::uint64_t& code_length) const override {
    // If there is no room, the payload grows so large that the chunk is stored raw.
    const EncodedChunk coded =
        encoder_->encode(sequence, payload.rest(sequence.nbytes()).first(sequence.nbytes()));
    payload.grow(coded.size.value_or(sequence.nbytes()));
    code_length += coded.code_length;
  }

 private:
  std::shared_ptr<const Encoder> encoder_;
};

class CodecDecoder final : public SequenceDecoder {
 public:
  CodecDecoder(const Form& form, std::uint64_t elements)
      : decoder_(
            find_codec(form.codec.number)
                ->make_decoder(form.codec.code_book, {form.dtype, elements, form.codec.layout})) {}

  void decode(ByteReader& payload, const std::uint8_t* readable_end, std::uint8_t* out,
              std::size_t count) const override {
    decoder_->decode(payload.take(payload.left()), readable_end, out, count);
  }

 private:
  std::unique_ptr<Decoder> decoder_;
};

}  // namespace

std::unique_ptr<SequenceEncoder> make_form_encoder(const Form& form, ExpectedWords elements) {
  switch (form.kind) {
    case FormKind::kBlocks: return make_block_encoder(form.blocks, elements);
    case FormKind::kPairs: return std::make_unique<PairsEncoder>(form, elements);
    case FormKind::kCodec: return std::make_unique<CodecEncoder>(form.codec);
    case FormKind::kBins: return std::make_unique<BinsEncoder>(form, elements);
    case FormKind::kDifferences: return std::make_unique<DifferencesEncoder>(form, elements);
    default: return std::make_unique<PartsEncoder>(form, elements);
  }
}

std::unique_ptr<SequenceDecoder> make_form_decoder(const Form& form, ExpectedWords elements) {
  switch (form.kind) {
    case FormKind::kBlocks: return make_block_decoder(form.blocks, form.dtype, elements);
    case FormKind::kPairs: return std::make_unique<PairsDecoder>(form, elements);
    case FormKind::kCodec: return std::make_unique<CodecDecoder>(form, elements);
    case FormKind::kBins: return std::make_unique<BinsDecoder>(form, elements);
    case FormKind::kDifferences: return std::make_unique<DifferencesDecoder>(form, elements);
    default: return std::make_unique<PartsDecoder>(form, elements);
  }
}

}  // namespace gradwire
