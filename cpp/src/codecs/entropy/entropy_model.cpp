#include "codecs/entropy/entropy_model.hpp"

#include <algorithm>
#include <cstring>

#include "base/block_copy.hpp"
#include "base/byte_io.hpp"
#include "base/scratch.hpp"
#include "codecs/entropy/token_book.hpp"
#include "gradwire/error.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {
namespace {

constexpr std::uint64_t kGroup = kPreviewed;  // elements that are sampled together
static_assert(kGroup % kBlockSize == 0);
constexpr std::uint64_t kFewestGroups = 32;
constexpr std::uint64_t kMostGroups = 1024;
constexpr std::uint64_t kShare = 24;           // sample one group in this many
constexpr std::uint64_t kMostEnlarged = 4096;  // groups of a sample that was enlarged
/// A sample is enlarged until this many of its bytes differ from the most frequent one.
constexpr std::uint64_t kFewestOthers = 256;

/// Upper bound on the key that bytes are counted from, so that no byte stands for more than the
/// largest key.
std::uint64_t last_smallest(DType dtype) {
  const std::uint64_t largest = largest_key(dtype);
  return largest < 256 ? 0 : largest - 255;
}

/// Writes the lowest bytes of elements [begin, end). Elements that a source makes are bytes.
void bytes_between(const ChunkedArray& array, std::uint64_t begin, std::uint64_t end,
                   std::uint8_t* out) {
  if (array.source == nullptr) return to_bytes(array.elements.slice(begin, end), 0, out);
  array.source->preview(array.number, begin, end, out);
}

/// Takes `taken` groups of elements, spread evenly over the array, or the whole array if it has at
/// most twice as many groups. Returns the number of elements.
std::size_t sample_groups(const ChunkedArray& array, std::uint64_t taken, std::uint8_t* bytes) {
  const Elements& all = array.elements;
  const std::uint64_t groups = all.count / kGroup;
  if (2 * taken >= groups) {
    bytes_between(array, 0, all.count, bytes);
    return all.count;
  }
  for (std::uint64_t i = 0; i < taken; ++i) {
    const std::uint64_t begin = (groups / taken * i + groups % taken * i / taken) * kGroup;
    bytes_between(array, begin, begin + kGroup, bytes + i * kGroup);
  }
  return taken * kGroup;
}

/// The largest count. std::max_element would wait for a load after each comparison.
std::uint64_t largest(const ByteCounts& counts) {
  std::uint64_t most = 0;
  for (const std::uint64_t count : counts) most = std::max(most, count);
  return most;
}

/// Takes a sample and enlarges it, up to a limit, until it has enough rare bytes: in some
/// gradients, only a few rows are not zero.
struct Sample {
  std::span<std::uint8_t> bytes;  // in `room`
  ByteCounts histogram;
};
Sample take_sample(const ChunkedArray& array, const Scratch& room) {
  constexpr std::uint64_t kMore = 4;
  constexpr std::uint64_t kSmall = 2 * kMostGroups * kGroup;  // elements that may all be sampled
  const std::uint64_t first =
      std::clamp(array.elements.count / kGroup / kShare, kFewestGroups, kMostGroups);
  for (std::uint64_t taken = first;; taken = std::min(kMore * taken, kMostEnlarged)) {
    const std::span bytes(room.data(), sample_groups(array, taken, room.data()));
    const ByteCounts histogram = count_bytes(bytes);
    const std::uint64_t others = bytes.size() - largest(histogram);
    const std::uint64_t all = array.elements.count;
    const bool seems_constant = others == 0 && taken > first && all > kSmall;
    if (others >= kFewestOthers || seems_constant || taken == kMostEnlarged ||
        bytes.size() == all) {
      return {bytes, histogram};
    }
  }
}

}  // namespace

void to_bytes(const Elements& elements, std::uint8_t zero, std::uint8_t* out) {
  kernels().bytes.narrow(elements.data, elements.count, elements.width(), zero, out);
}

void from_bytes(const std::uint8_t* bytes, std::size_t count, std::uint64_t smallest,
                std::uint8_t background, DType dtype, std::uint8_t* out) {
  kernels().bytes.widen(bytes, count, static_cast<std::uint8_t>(-background),
                        from_key(smallest, dtype), item_size(dtype), out);
}

EntropyBook read_entropy_book(std::span<const std::uint8_t> code_book, DType dtype) {
  EntropyBook book;
  ByteReader reader(code_book);
  const std::uint8_t first = reader.byte();
  const std::size_t classes = first & ~kExceptionsFlag;
  book.has_exceptions = first & kExceptionsFlag;
  if (classes > kMaxClasses || first == kExceptionsFlag)
    throw CorruptFrameError("code book has an invalid number of classes; at most 16 are allowed");
  if (classes == 0) {
    book.of_values = code_book.subspan(1);
    return book;
  }
  const auto smallest = reader.take(item_size(dtype));
  std::memcpy(&book.smallest, smallest.data(), smallest.size());
  book.background = reader.byte();
  if (book.smallest > last_smallest(dtype)) {
    throw CorruptFrameError("code book has a smallest value that is too large for the dtype");
  }
  for (std::size_t k = 0; k < classes; ++k) {
    book.of_class.push_back(reader.take(reader.varint()));
  }
  if (reader.left() != 0) throw CorruptFrameError("code book does not match its declared size");
  return book;
}

namespace {

EntropyModel fit(const ChunkedArray& array, std::uint64_t smallest, Fitted fitted) {
  EntropyModel model{};
  model.smallest = std::min(smallest, last_smallest(array.elements.dtype));
  const Scratch room(
      std::min<std::uint64_t>(array.elements.count, (2 * kMostEnlarged + 1) * kGroup));
  auto [sample, histogram] = take_sample(array, room);
  const bool is_whole = sample.size() == array.elements.count && fitted == Fitted::kForThisArray;
  model.has_exceptions = !is_whole;
  const auto most_frequent = std::find(histogram.begin(), histogram.end(), largest(histogram));
  const auto zero = static_cast<std::uint8_t>(most_frequent - histogram.begin());
  model.background = static_cast<std::uint8_t>(zero - model.zero(array.elements.dtype));
  if (zero != 0) {
    std::rotate(histogram.begin(), most_frequent, histogram.end());
    kernels().bytes.narrow(sample.data(), sample.size(), 1, zero, sample.data());
  }
  std::vector<BlockSigns> signs;
  if (const std::size_t whole_blocks = sample.size() / kBlockSize; whole_blocks >= kFewestBlocks) {
    signs = block_signs(sample);
    model.classes =
        fit_block_classes({signs.data(), whole_blocks}, static_cast<double>(array.elements.count) /
                                                            static_cast<double>(sample.size()));
  }
  if (model.classes.size == 1) {
    model.books.push_back(make_token_book(sample, histogram, is_whole));
    return model;
  }
  const ClassOrder order(assign_classes(model.classes, signs), model.classes.size, sample.size());
  const Scratch of_class(sample.size());
  for (std::size_t k = 0; k < model.classes.size; ++k) {
    static constexpr std::uint8_t kZero[1] = {0};
    gather(order.blocks_of(sample.data(), k), of_class.data());
    std::span<const std::uint8_t> blocks(of_class.data(), order.size(k));
    if (blocks.empty()) blocks = kZero;  // after classes were joined, this one has no block left
    model.books.push_back(make_token_book(blocks, count_bytes(blocks), is_whole));
  }
  return model;
}

}  // namespace

std::optional<EntropyModel> fit_entropy_model(const ChunkedArray& array, Fitted fitted) {
  const KeyRange range = key_range(array);
  if (!range.fits_a_byte()) return std::nullopt;
  return fit(array, range.smallest, fitted);
}

}  // namespace gradwire
