#include "codecs/entropy/fit_blocks.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/block_copy.hpp"
#include "codecs/entropy/token_book.hpp"

namespace gradwire {

double information(std::span<const std::uint64_t> counts) {
  double all = 0;
  double sum = 0;
  for (const std::uint64_t count : counts) {
    if (count == 0) continue;
    const double n = static_cast<double>(count);
    all += n;
    sum += n * std::log2(n);
  }
  return all > 0 ? all * std::log2(all) - sum : 0;
}

namespace {

/// Bits of blocks whose bytes take the information of their group in their class, and of the
/// classes.
double group_bits(std::span<const BlockGroups> blocks, std::span<const std::uint8_t> classes) {
  std::array<std::array<std::uint64_t, kByteGroups>, kMaxClasses> counts{};
  std::array<std::uint64_t, kMaxClasses> labels{};
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    ++labels[classes[b]];
    for (std::size_t g = 0; g < kByteGroups; ++g) counts[classes[b]][g] += blocks[b].count[g];
  }
  double bits = information(labels);
  for (const auto& of_class : counts) bits += information(of_class);
  return bits;
}

/// Classes by groups of bytes, if some blocks show that these tell more than signs do. `by_sign`:
/// the classes that signs give.
std::optional<BlockClasses::Groups> fit_groups(std::span<const std::uint8_t> bytes,
                                               const ByteCounts& histogram,
                                               std::span<const std::uint8_t> by_sign,
                                               double share) {
  constexpr std::ptrdiff_t kManyBytes = 16;  // different ones
  constexpr std::size_t kTried = 128;        // blocks
  constexpr double kWorth = 0.015;           // of the information of the bytes
  const std::ptrdiff_t used =
      256 - std::count(histogram.begin(), histogram.end(), std::uint64_t{0});
  if (used < kManyBytes) return std::nullopt;
  const std::size_t all = bytes.size() / kBlockSize;
  const std::size_t tried = std::min(all, kTried);
  BlockClasses::Groups groups{even_groups(histogram), {}};
  const std::size_t center = group_of(groups.of_bytes, 0);
  std::vector<BlockGroups> some(tried);
  std::vector<std::uint8_t> their_classes(tried);
  for (std::size_t i = 0; i < tried; ++i) {
    const std::size_t b = all * i / tried;
    kernels().tokens.block_groups(&groups.of_bytes, bytes.data() + b * kBlockSize, kBlockSize,
                                  &some[i]);
    their_classes[i] = by_sign[b];
  }
  const double of_each = static_cast<double>(all) / static_cast<double>(tried) * share;
  const GroupCosts costs = fit_block_classes(some, center, of_each);
  const double saved =
      group_bits(some, their_classes) - group_bits(some, assign_classes(costs, some));
  const double bits =
      information(histogram) * static_cast<double>(tried) / static_cast<double>(all);
  if (saved < kWorth * bits) return std::nullopt;
  groups.costs = fit_block_classes(block_groups(groups.of_bytes, bytes), center, share);
  return groups;
}

/// The bytes that get code words besides those that a sample has. An unseen byte can be an
/// exception; in a small alphabet, more code words than necessary would make the others longer.
Alphabet alphabet_of(const ByteCounts& histogram, std::uint8_t zero, std::size_t values,
                     Sampled sampled) {
  constexpr std::size_t kSmall = 16;
  Alphabet alphabet;
  if (sampled.is_whole) return alphabet;
  if (sampled.codes_others) return alphabet.set();
  for (std::size_t byte = 0; byte < 256; ++byte) alphabet[byte] = histogram[byte] > 0;
  if (alphabet.count() <= kSmall) return alphabet;
  for (std::size_t value = 0; value < values; ++value) alphabet.set((value - zero) & 255);
  return alphabet;
}

}  // namespace

FittedBlocks fit_block_model(ByteSample sample, std::uint64_t smallest, DType dtype,
                             Sampled sampled, std::size_t values) {
  FittedBlocks fitted{{}, 0, 0};
  BlockModel& model = fitted.model;
  const std::span bytes = sample.bytes;
  ByteCounts& histogram = sample.histogram;
  model.smallest = std::min(smallest, last_smallest(dtype));
  model.has_exceptions = !sampled.is_whole;
  const auto most_frequent = std::find(histogram.begin(), histogram.end(), largest(histogram));
  const auto zero = static_cast<std::uint8_t>(most_frequent - histogram.begin());
  model.background = static_cast<std::uint8_t>(zero - model.zero(dtype));
  if (zero != 0) {
    std::rotate(histogram.begin(), most_frequent, histogram.end());
    kernels().bytes.narrow(bytes.data(), bytes.size(), 1, zero, bytes.data());
  }
  const Alphabet alphabet = alphabet_of(histogram, zero, values, sampled);
  const std::size_t whole_blocks = bytes.size() / kBlockSize;
  std::vector<std::uint8_t> classes;
  if (whole_blocks >= kFewestBlocks) {
    const std::vector<BlockSigns> signs = block_signs(bytes);
    model.classes.by_sign = fit_block_classes({signs.data(), whole_blocks}, sampled.share);
    classes = assign_classes(model.classes.by_sign, signs);
    if (auto groups =
            fit_groups(bytes.first(whole_blocks * kBlockSize), histogram, classes, sampled.share)) {
      classes = assign_classes(groups->costs, block_groups(groups->of_bytes, bytes));
      model.classes.groups = std::move(groups);
    }
  }
  const auto add_class = [&](std::span<const std::uint8_t> of_class, const ByteCounts& counts) {
    FittedBook book = make_token_book(of_class, counts, alphabet);
    model.books.push_back(std::move(book.book));
    fitted.bits += static_cast<double>(book.bits);
    fitted.entropy += information(counts);
  };
  if (model.classes.size() == 1) {
    add_class(bytes, histogram);
    return fitted;
  }
  const ClassOrder order(std::move(classes), model.classes.size(), bytes.size());
  fitted.bits += information(count_bytes(order.classes()));
  const Scratch of_class(bytes.size());
  for (std::size_t k = 0; k < model.classes.size(); ++k) {
    static constexpr std::uint8_t kZero[1] = {0};
    gather(order.blocks_of(bytes.data(), k), of_class.data());
    std::span<const std::uint8_t> blocks(of_class.data(), order.size(k));
    if (blocks.empty()) blocks = kZero;  // after classes were joined, this one has no block left
    add_class(blocks, count_bytes(blocks));
  }
  return fitted;
}

}  // namespace gradwire
