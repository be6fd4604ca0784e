#include "codecs/entropy/block_classes.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <tuple>
#include <type_traits>
#include <utility>

namespace gradwire {
namespace {

/// First classes. By signs, more gain next to nothing.
constexpr std::size_t kWantedBySign = 8;
constexpr std::size_t kWantedByGroup = 16;
static_assert(kWantedByGroup <= kMaxClasses);
constexpr int kRounds = 4;                      // most rounds of fitting; more gain nothing
constexpr double kCostsPerBit = 16;             // the unit of ClassCosts is 1/16 bit
constexpr std::int32_t kUnusedClass = 1 << 24;  // label cost of an unused class
/// Estimated bits that one more class takes for its code book.
constexpr double kBookBits = 400;

/// The number of bytes in each part that blocks are described by: signs or groups.
using SignParts = std::array<std::uint64_t, 3>;  // negative, zero, positive
SignParts parts_of(const BlockSigns& block) {
  const std::size_t others = std::size_t{block.negative} + block.positive;
  return {block.negative, kBlockSize - others, block.positive};
}
std::array<std::uint64_t, kByteGroups> parts_of(const BlockGroups& block) {
  std::array<std::uint64_t, kByteGroups> parts;
  std::copy_n(block.count, kByteGroups, parts.begin());
  return parts;
}
template <typename Block>
constexpr std::size_t kWanted = std::is_same_v<Block, BlockSigns> ? kWantedBySign : kWantedByGroup;
template <typename Block>
constexpr std::size_t kParts = std::tuple_size_v<decltype(parts_of(Block{}))>;

/// All blocks of a class.
template <std::size_t Parts>
struct Sums {
  double blocks = 0;
  double part[Parts] = {};

  void add(const Sums& other) {
    blocks += other.blocks;
    for (std::size_t i = 0; i < Parts; ++i) part[i] += other.part[i];
  }
  double size(double empty) const {
    return std::accumulate(std::begin(part), std::end(part), empty);
  }
  /// Bits of the parts at their entropy, plus those of the class labels among `all` blocks.
  double bits(double all) const {
    const double bytes = size(0);
    double sum = blocks > 0 ? blocks * std::log2(all / blocks) : 0;
    for (const double n : part) sum += n > 0 ? n * std::log2(bytes / n) : 0;
    return sum;
  }
};

template <typename Block>
std::vector<Sums<kParts<Block>>> sum_classes(std::span<const Block> blocks,
                                             std::span<const std::uint8_t> classes) {
  struct Counts {
    std::uint64_t blocks;
    decltype(parts_of(Block{})) part;
  };
  Counts counts[kWanted<Block>] = {};
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    Counts& own = counts[classes[b]];
    ++own.blocks;
    const auto parts = parts_of(blocks[b]);
    for (std::size_t i = 0; i < parts.size(); ++i) own.part[i] += parts[i];
  }
  std::vector<Sums<kParts<Block>>> sums(kWanted<Block>);
  for (std::size_t k = 0; k < kWanted<Block>; ++k) {
    sums[k].blocks = static_cast<double>(counts[k].blocks);
    std::transform(counts[k].part.begin(), counts[k].part.end(), sums[k].part,
                   [](std::uint64_t n) { return static_cast<double>(n); });
  }
  return sums;
}

std::int32_t cost_of(double part, double whole) {
  return static_cast<std::int32_t>(std::lround(kCostsPerBit * std::log2(whole / part)));
}

/// Fills in the costs; rows[i] has those of part i.
template <std::size_t Parts>
void fill_costs(std::span<const Sums<Parts>> classes, double all, std::int32_t* label,
                const std::array<std::int32_t*, Parts>& rows) {
  constexpr double kUnseen = 0.25;  // added to counts: no part is impossible
  for (std::size_t k = 0; k < classes.size(); ++k) {
    if (classes[k].blocks == 0) {
      label[k] = kUnusedClass;
      continue;
    }
    label[k] = cost_of(classes[k].blocks, all);
    const double size = classes[k].size(static_cast<double>(Parts) * kUnseen);
    for (std::size_t i = 0; i < Parts; ++i) {
      rows[i][k] = cost_of(classes[k].part[i] + kUnseen, size);
    }
  }
}

ClassCosts costs_of(std::span<const Sums<3>> classes, double all) {
  ClassCosts costs{};
  costs.size = classes.size();
  fill_costs<3>(classes, all, costs.label, {costs.negative, costs.zero, costs.positive});
  return costs;
}

GroupCosts costs_of(std::span<const Sums<kByteGroups>> classes, double all) {
  GroupCosts costs{};
  costs.size = classes.size();
  std::array<std::int32_t*, kByteGroups> rows;
  for (std::size_t g = 0; g < kByteGroups; ++g) rows[g] = costs.part[g];
  fill_costs<kByteGroups>(classes, all, costs.label, rows);
  return costs;
}

/// A first guess: sorts blocks by how far their bytes lie from the part `center`, then cuts them
/// into equal classes.
template <typename Block>
std::vector<std::uint8_t> by_activity(std::span<const Block> blocks, std::size_t center) {
  std::vector<std::pair<std::uint64_t, std::size_t>> order(blocks.size());
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    const auto parts = parts_of(blocks[b]);
    std::uint64_t activity = 0;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      activity += parts[i] * (i < center ? center - i : i - center);
    }
    order[b] = {activity, b};
  }
  std::sort(order.begin(), order.end());
  std::vector<std::uint8_t> classes(blocks.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    classes[order[i].second] = static_cast<std::uint8_t>(i * kWanted<Block> / order.size());
  }
  return classes;
}

template <std::size_t Parts>
void erase_empty(std::vector<Sums<Parts>>& classes) {
  std::erase_if(classes, [](const auto& one) { return one.blocks == 0; });
}

/// Joins classes as long as joining two of them costs less than a code book.
template <std::size_t Parts>
void join(std::vector<Sums<Parts>>& classes, double all, double share) {
  struct Pair {
    std::size_t a = 0;
    std::size_t b = 0;
    double more = 0;  // bits of the two joined, beyond those of each
  };
  std::vector<double> bits;
  for (const auto& one : classes) bits.push_back(one.bits(all));
  std::vector<Pair> pairs;
  const auto add_pair = [&](std::size_t a, std::size_t b) {
    Sums<Parts> joined = classes[a];
    joined.add(classes[b]);
    pairs.push_back({a, b, share * (joined.bits(all) - bits[a] - bits[b])});
  };
  for (std::size_t a = 1; a < classes.size(); ++a) {
    for (std::size_t b = 0; b < a; ++b) add_pair(a, b);
  }
  const auto joins = [](const Pair& x, const Pair& y) { return x.more < y.more; };
  while (!pairs.empty()) {
    const auto [from, into, more] = *std::min_element(pairs.begin(), pairs.end(), joins);
    if (more >= kBookBits) break;
    classes[into].add(classes[from]);
    classes[from] = {};
    bits[into] = classes[into].bits(all);
    std::erase_if(pairs, [&, from = from, into = into](const Pair& pair) {
      return pair.a == from || pair.b == from || pair.a == into || pair.b == into;
    });
    for (std::size_t b = 0; b < classes.size(); ++b) {
      if (b != into && classes[b].blocks > 0) add_pair(std::max(b, into), std::min(b, into));
    }
  }
  erase_empty(classes);
}

/// Fits classes, beginning with those given.
template <typename Block>
auto refine(std::span<const Block> blocks, std::vector<std::uint8_t> classes, double share) {
  using OfClass = const Sums<kParts<Block>>;
  const double all = static_cast<double>(blocks.size());
  for (int round = 0; round < kRounds; ++round) {
    const auto costs = costs_of(std::span<OfClass>(sum_classes(blocks, classes)), all);
    std::vector<std::uint8_t> next = assign_classes(costs, blocks);
    if (next == classes) break;
    classes.swap(next);
  }
  auto sums = sum_classes(blocks, classes);
  erase_empty(sums);
  join(sums, all, share);
  std::stable_sort(sums.begin(), sums.end(),
                   [](const auto& a, const auto& b) { return a.blocks > b.blocks; });
  return costs_of(std::span<OfClass>(sums), all);
}

/// Calls visit(p, b) for all blocks b, alternating between kWays parts p of the blocks. Each part
/// has separate counters; with one set of counters, each block would wait for the count of the
/// block before.
constexpr std::size_t kWays = 4;
template <typename F>
void for_each_block(std::size_t blocks, const F& visit) {
  const std::size_t part = blocks / kWays;
  for (std::size_t i = 0; i < part; ++i) {
    for (std::size_t p = 0; p < kWays; ++p) visit(p, static_cast<std::uint32_t>(p * part + i));
  }
  for (std::size_t b = kWays * part; b < blocks; ++b) {
    visit(kWays - 1, static_cast<std::uint32_t>(b));
  }
}

}  // namespace

std::vector<std::uint8_t> assign_classes(const ClassCosts& costs,
                                         std::span<const BlockSigns> blocks) {
  std::vector<std::uint8_t> classes(blocks.size());
  kernels().tokens.cheapest_classes(&costs, blocks.data(), blocks.size(), classes.data());
  return classes;
}

std::vector<std::uint8_t> assign_classes(const GroupCosts& costs,
                                         std::span<const BlockGroups> blocks) {
  std::vector<std::uint8_t> classes(blocks.size());
  kernels().tokens.cheapest_by_groups(&costs, blocks.data(), blocks.size(), classes.data());
  return classes;
}

ClassCosts fit_block_classes(std::span<const BlockSigns> blocks, double share) {
  constexpr std::size_t kZeros = 1;
  return refine(blocks, by_activity(blocks, kZeros), share);
}

GroupCosts fit_block_classes(std::span<const BlockGroups> blocks, std::size_t center,
                             double share) {
  return refine(blocks, by_activity(blocks, center), share);
}

ByteGroups even_groups(const std::array<std::uint64_t, 256>& histogram) {
  const std::uint64_t all = std::accumulate(histogram.begin(), histogram.end(), std::uint64_t{0});
  ByteGroups groups;
  std::fill_n(groups.first, kByteGroups, std::int8_t{127});
  std::uint64_t before = 0;
  std::size_t next = 0;  // the first group whose bytes were not met yet
  for (int byte = -128; byte < 128; ++byte) {
    const std::uint64_t count = histogram[static_cast<std::uint8_t>(byte)];
    const std::uint64_t group =
        std::min<std::uint64_t>(kByteGroups - 1, (before + count / 2) * kByteGroups / all);
    for (; next <= group; ++next) groups.first[next] = static_cast<std::int8_t>(byte);
    before += count;
  }
  return groups;
}

std::vector<BlockGroups> block_groups(const ByteGroups& groups,
                                      std::span<const std::uint8_t> bytes) {
  std::vector<BlockGroups> counts(block_count(bytes.size()));
  kernels().tokens.block_groups(&groups, bytes.data(), bytes.size(), counts.data());
  return counts;
}

std::vector<BlockSigns> block_signs(std::span<const std::uint8_t> bytes) {
  std::vector<BlockSigns> signs(block_count(bytes.size()));
  kernels().tokens.block_signs(bytes.data(), bytes.size(), signs.data());
  return signs;
}

ClassOrder::ClassOrder(std::vector<std::uint8_t> classes, std::size_t class_count,
                       std::size_t bytes)
    : classes_(std::move(classes)),
      blocks_(classes_.size()),
      first_(class_count + 1),
      bytes_(bytes) {
  std::uint32_t next[kWays][kMaxClasses] = {};
  for_each_block(classes_.size(), [&](std::size_t p, std::uint32_t b) { ++next[p][classes_[b]]; });
  std::uint32_t sum = 0;
  for (std::size_t k = 0; k < class_count; ++k) {
    first_[k] = sum;
    for (auto& of_part : next) sum += std::exchange(of_part[k], sum);
  }
  first_[class_count] = sum;
  for_each_block(classes_.size(),
                 [&](std::size_t p, std::uint32_t b) { blocks_[next[p][classes_[b]]++] = b; });
}

std::size_t ClassOrder::size(std::size_t k) const {
  const auto own = blocks(k);
  if (own.empty()) return 0;
  return (own.size() - 1) * kBlockSize + block_bytes(own.back(), bytes_);
}

}  // namespace gradwire
