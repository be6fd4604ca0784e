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

constexpr std::uint8_t kBookMagic[2] = {'G', 'B'};
constexpr std::uint8_t kSignsVersion = 1;  // a code book without forms, and classes by signs
constexpr std::uint8_t kVersion = 2;
constexpr std::uint8_t kFormsLayout = static_cast<std::uint8_t>(Layout::kForms);
constexpr std::uint64_t kExpected = std::uint64_t{1} << 20;  // elements that tables are sized for

/// Calls use(row) for each row of costs, which has one for each class.
template <typename Costs, typename F>
void for_each_row(Costs& costs, F&& use) {
  use(costs.label);
  if constexpr (requires { costs.part; }) {
    for (auto& row : costs.part) use(row);
  } else {
    use(costs.negative);
    use(costs.zero);
    use(costs.positive);
  }
}

template <typename Costs>
void append_costs(std::vector<std::uint8_t>& out, const Costs& costs) {
  for_each_row(costs, [&](const std::int32_t* row) {
    for (std::size_t k = 0; k < costs.size; ++k) {
      append_varint(out, static_cast<std::uint64_t>(std::max(0, row[k])));
    }
  });
}

template <typename Costs>
Costs read_costs(ByteReader& reader, std::size_t classes) {
  Costs costs{};
  costs.size = classes;
  for_each_row(costs, [&](std::int32_t* row) {
    for (std::size_t k = 0; k < classes; ++k) {
      const std::uint64_t cost = reader.varint();
      if (cost > kMostCost)
        throw CorruptFrameError("shared code book has an invalid cost; at most 4096 is allowed");
      row[k] = static_cast<std::int32_t>(cost);
    }
  });
  return costs;
}

/// As in version 2; version 1 has the costs of signs only.
void append_classes(std::vector<std::uint8_t>& out, const BlockClasses& classes) {
  out.push_back(classes.groups.has_value());
  if (!classes.groups) return append_costs(out, classes.by_sign);
  for (std::size_t g = 1; g < kByteGroups; ++g) {
    out.push_back(static_cast<std::uint8_t>(classes.groups->of_bytes.first[g]));
  }
  append_costs(out, classes.groups->costs);
}

BlockClasses read_classes(ByteReader& reader, std::size_t size) {
  BlockClasses classes;
  const std::uint8_t has_groups = reader.byte();
  if (has_groups > 1) throw CorruptFrameError("shared code book has an unknown kind of classes");
  if (has_groups == 0) {
    classes.by_sign = read_costs<ClassCosts>(reader, size);
    return classes;
  }
  classes.groups.emplace();
  std::int8_t* const first = classes.groups->of_bytes.first;
  first[0] = -128;
  for (std::size_t g = 1; g < kByteGroups; ++g) {
    first[g] = static_cast<std::int8_t>(reader.byte());
    if (first[g] < first[g - 1])
      throw CorruptFrameError("shared code book has groups of bytes that do not ascend");
  }
  classes.groups->costs = read_costs<GroupCosts>(reader, size);
  return classes;
}

/// Calls use(model) for each model of blocks in a form.
template <typename F>
void for_each_model(Form& form, F&& use) {
  if (form.kind == FormKind::kBlocks) use(form.blocks);
  for (Form& part : form.parts) for_each_model(part, use);
}

/// The key that bytes are counted from if elements of the array, rather than symbols of bins, are
/// coded as bytes.
std::optional<std::uint64_t> smallest_of(const Form& form) {
  if (form.kind == FormKind::kBlocks) return form.blocks.smallest;
  if (form.kind == FormKind::kBins || form.kind == FormKind::kDifferences) return std::nullopt;
  return smallest_of(form.parts.back());
}

void check_codes_every_array(const Form& form) {
  if (form.kind == FormKind::kBins && !form.bins.has_escape) {
    throw CorruptFrameError("shared code book cannot code every array: its bins lack an escape");
  }
  if (form.kind == FormKind::kBlocks) {
    if (!form.blocks.has_exceptions) {
      throw CorruptFrameError("shared code book cannot code every array: it lacks exceptions");
    }
    for (const CodeBook& book : form.blocks.books) {
      if (!can_code_others(book)) {
        throw CorruptFrameError("shared code book cannot code every array: a class lacks tokens");
      }
    }
  }
  for (const Form& part : form.parts) check_codes_every_array(part);
}

/// Loads a code book from bytes that may be damaged.
std::shared_ptr<const LoadedCodeBook> load(std::vector<std::uint8_t> bytes) {
  ByteReader reader(bytes, Extent::kFrame);
  const auto magic = reader.take(2);
  if (magic[0] != kBookMagic[0] || magic[1] != kBookMagic[1]) {
    throw CorruptFrameError("not a shared code book: the first two bytes are not 'GB'");
  }
  const std::uint8_t version = reader.byte();
  const std::uint8_t dtype = reader.byte();
  const bool is_known = version == kSignsVersion || version == kVersion;
  const std::uint8_t layout = version == kVersion ? reader.byte() : 0;
  if (!is_known || dtype >= kDTypeCount || (layout != 0 && layout != kFormsLayout)) {
    throw UnsupportedFormatError(
        "shared code book has a version or dtype that this version of gradwire does not know");
  }
  BookCoders coders{};
  coders.dtype = static_cast<DType>(dtype);
  const std::span<const std::uint8_t> code_book = reader.take(reader.varint());
  const CodedArray coded{coders.dtype, kExpected, static_cast<Layout>(layout)};
  Form form = read_entropy_book(code_book, coded);
  check_codes_every_array(form);
  for_each_model(form, [&](BlockModel& model) {
    const std::size_t classes = model.books.size();
    if (version == kVersion) {
      model.classes = read_classes(reader, classes);
    } else {
      model.classes.by_sign = read_costs<ClassCosts>(reader, classes);
    }
  });
  if (reader.left() != 0)
    throw CorruptFrameError("extra bytes follow the end of a shared code book");
  coders.smallest = smallest_of(form);
  constexpr double kAnyBits = 1e9;  // what arrays will take is not known: never a code book more
  coders.encoder = make_entropy_encoder({form, kAnyBits}, kExpected);
  coders.decoder = make_entropy_decoder(form, coded);
  if (coders.encoder->layout() != coded.layout ||
      !std::ranges::equal(coders.encoder->code_book(), code_book)) {
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
  FittedForm fitted = fit_entropy(array, Fitted::kForOthers);
  const auto encoder = make_entropy_encoder(fitted, 0);
  Form& form = fitted.form;
  std::vector<std::uint8_t> bytes(std::begin(kBookMagic), std::end(kBookMagic));
  const bool has_signs_only = form.kind == FormKind::kBlocks && !form.blocks.classes.groups;
  bytes.push_back(has_signs_only ? kSignsVersion : kVersion);
  bytes.push_back(static_cast<std::uint8_t>(sample.dtype));
  if (!has_signs_only) bytes.push_back(static_cast<std::uint8_t>(encoder->layout()));
  append_varint(bytes, encoder->code_book().size());
  bytes.insert(bytes.end(), encoder->code_book().begin(), encoder->code_book().end());
  for_each_model(form, [&](const BlockModel& model) {
    if (has_signs_only) {
      append_costs(bytes, model.classes.by_sign);
    } else {
      append_classes(bytes, model.classes);
    }
  });
  return std::make_shared<SharedCodeBook>(load(std::move(bytes)));
}

std::shared_ptr<const SharedCodeBook> SharedCodeBook::read(std::span<const std::uint8_t> bytes) {
  return std::make_shared<SharedCodeBook>(load({bytes.begin(), bytes.end()}));
}

std::span<const std::uint8_t> SharedCodeBook::bytes() const { return loaded_->bytes(); }

}  // namespace gradwire
