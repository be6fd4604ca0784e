#include "codecs/entropy/form.hpp"

#include <cstring>

#include "codecs/codec_table.hpp"
#include "gradwire/error.hpp"

namespace gradwire {
namespace {

constexpr unsigned kMostNested = 6;  // forms in one another

OtherCodec read_codec(ByteReader& code_book, unsigned nested) {
  OtherCodec other;
  other.number = code_book.byte();
  const std::uint8_t layout = code_book.byte();
  const Codec* const codec = find_codec(other.number);
  if (nested > 1) throw CorruptFrameError("another codec is not the outermost form");
  if (codec == nullptr || codec->has_forms || layout > (codec->has_pivot_layout ? 1 : 0))
    throw CorruptFrameError("code book has an unknown codec or layout in a form");
  other.layout = static_cast<Layout>(layout);
  const auto bytes = code_book.take(code_book.varint());
  other.code_book.assign(bytes.begin(), bytes.end());
  return other;
}

Form read_nested(ByteReader& code_book, DType dtype, unsigned nested) {
  if (nested > kMostNested) throw CorruptFrameError("code book has more than 6 nested forms");
  Form form;
  const std::uint8_t kind = code_book.byte();
  if (kind > static_cast<std::uint8_t>(FormKind::kPairs))
    throw CorruptFrameError("code book has an unknown form");
  if (kind == static_cast<std::uint8_t>(FormKind::kDifferences) && dtype == DType::kBool)
    throw CorruptFrameError("code book has differences of bools");
  form.kind = static_cast<FormKind>(kind);
  form.dtype = dtype;
  switch (form.kind) {
    case FormKind::kBlocks: form.blocks = read_block_model(code_book, dtype); break;
    case FormKind::kBins: form.bins = read_bins(code_book, dtype); break;
    case FormKind::kGaps: {
      const auto bits = code_book.take(item_size(dtype));
      std::memcpy(&form.background, bits.data(), bits.size());
      break;
    }
    case FormKind::kCodec: form.codec = read_codec(code_book, nested); break;
    case FormKind::kPairs:
      form.base = code_book.byte();
      if (dtype != DType::kUInt8 || form.base < 2 || form.base > kMostBase)
        throw CorruptFrameError("code book has pairs of other numbers than bytes below 2 to 16");
      break;
    default: break;
  }
  for (const DType part : part_dtypes(form.kind, dtype)) {
    form.parts.push_back(read_nested(code_book, part, nested + 1));
  }
  return form;
}

}  // namespace

std::vector<DType> part_dtypes(FormKind kind, DType dtype) {
  switch (kind) {
    case FormKind::kBlocks:
    case FormKind::kCodec: return {};
    case FormKind::kBins:
    case FormKind::kPairs: return {DType::kUInt8};
    case FormKind::kDifferences: return {dtype};
    default: return {kCounts, dtype};
  }
}

void append_form(std::vector<std::uint8_t>& out, const Form& form) {
  out.push_back(static_cast<std::uint8_t>(form.kind));
  switch (form.kind) {
    case FormKind::kBlocks: append_block_model(out, form.blocks, form.dtype); break;
    case FormKind::kBins: append_bins(out, form.bins, form.dtype); break;
    case FormKind::kGaps:
      for (std::size_t i = 0; i < item_size(form.dtype); ++i) {
        out.push_back(static_cast<std::uint8_t>(form.background >> (8 * i)));
      }
      break;
    case FormKind::kCodec:
      out.push_back(form.codec.number);
      out.push_back(static_cast<std::uint8_t>(form.codec.layout));
      append_varint(out, form.codec.code_book.size());
      out.insert(out.end(), form.codec.code_book.begin(), form.codec.code_book.end());
      break;
    case FormKind::kPairs: out.push_back(form.base); break;
    default: break;
  }
  for (const Form& part : form.parts) append_form(out, part);
}

Form read_form(ByteReader& code_book, DType dtype) { return read_nested(code_book, dtype, 1); }

}  // namespace gradwire
