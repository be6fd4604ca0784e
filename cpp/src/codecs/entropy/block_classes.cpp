#include "codecs/entropy/block_classes.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gradwire {
namespace {

constexpr std::size_t kWanted = kFewestBlocks / 2;  // first classes; more gain next to nothing
constexpr int kRounds = 4;                          // most rounds of fitting; more gain nothing
constexpr double kCostsPerBit = 16;                 // the unit of ClassCosts is 1/16 bit
constexpr std::int32_t kUnusedClass = 1 << 24;      // label cost of an unused class
/// Estimated bits that one more class takes for its code book.
constexpr double kBookBits = 400;

/// The signs in all blocks of a class.
struct Sums {
  double blocks = 0;
  double sign[3] = {};  // negative, zero, positive

  void add(const Sums& other) {
    blocks += other.blocks;
    for (int i = 0; i < 3; ++i) sign[i] += other.sign[i];
  }
  /// Bits of the signs at their entropy, plus those of the class labels among `all` blocks.
  double bits(double all) const {
    const double size = sign[0] + sign[1] + sign[2];
    double sum = blocks > 0 ? blocks * std::log2(all / blocks) : 0;
    for (const double n : sign) sum += n > 0 ? n * std::log2(size / n) : 0;
    return sum;
  }
};

std::vector<Sums> sum_classes(std::span<const BlockSigns> blocks,
                              std::span<const std::uint8_t> classes) {
  struct Counts {
    std::uint64_t blocks, negative, positive;
  };
  Counts counts[kWanted] = {};
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    Counts& own = counts[classes[b]];
    ++own.blocks;
    own.negative += blocks[b].negative;
    own.positive += blocks[b].positive;
  }
  std::vector<Sums> sums;
  for (const Counts& own : counts) {
    const std::uint64_t zero = own.blocks * kBlockSize - own.negative - own.positive;
    sums.push_back({static_cast<double>(own.blocks),
                    {static_cast<double>(own.negative), static_cast<double>(zero),
                     static_cast<double>(own.positive)}});
  }
  return sums;
}

ClassCosts costs_of(std::span<const Sums> classes, double all) {
  const auto cost = [](double part, double whole) {
    return static_cast<std::int32_t>(std::lround(kCostsPerBit * std::log2(whole / part)));
  };
  ClassCosts costs{};
  costs.size = classes.size();
  for (std::size_t k = 0; k < classes.size(); ++k) {
    const Sums& sums = classes[k];
    if (sums.blocks == 0) {
      costs.label[k] = kUnusedClass;
      continue;
    }
    constexpr double kUnseen = 0.25;  // added to counts: no sign is impossible
    const double size = sums.sign[0] + sums.sign[1] + sums.sign[2] + 3 * kUnseen;
    costs.label[k] = cost(sums.blocks, all);
    costs.negative[k] = cost(sums.sign[0] + kUnseen, size);
    costs.zero[k] = cost(sums.sign[1] + kUnseen, size);
    costs.positive[k] = cost(sums.sign[2] + kUnseen, size);
  }
  return costs;
}

/// A first guess: sorts blocks by how many of their bytes are not 0, then cuts them into equal
/// classes.
std::vector<std::uint8_t> by_activity(std::span<const BlockSigns> blocks) {
  std::vector<std::pair<int, std::size_t>> order(blocks.size());
  for (std::size_t b = 0; b < blocks.size(); ++b) {
    order[b] = {blocks[b].negative + blocks[b].positive, b};
  }
  std::sort(order.begin(), order.end());
  std::vector<std::uint8_t> classes(blocks.size());
  for (std::size_t i = 0; i < order.size(); ++i) {
    classes[order[i].second] = static_cast<std::uint8_t>(i * kWanted / order.size());
  }
  return classes;
}

/// Joins classes as long as joining two of them costs less than a code book.
void join(std::vector<Sums>& classes, double all, double share) {
  while (classes.size() > 1) {
    std::size_t best_a = 0;
    std::size_t best_b = 0;
    double least = kBookBits;
    for (std::size_t a = 0; a < classes.size(); ++a) {
      for (std::size_t b = 0; b < a; ++b) {
        Sums joined = classes[a];
        joined.add(classes[b]);
        const double more =
            share * (joined.bits(all) - classes[a].bits(all) - classes[b].bits(all));
        if (more < least) {
          least = more;
          best_a = a;
          best_b = b;
        }
      }
    }
    if (best_a == best_b) return;
    classes[best_b].add(classes[best_a]);
    classes.erase(classes.begin() + static_cast<std::ptrdiff_t>(best_a));
  }
}

/// Calls visit(p, b) for all blocks b, alternating between kParts parts p of the blocks. Each part
/// has separate counters; with one set of counters, each block would wait for the count of the
/// block before.
constexpr std::size_t kParts = 4;
template <typename F>
void for_each_block(std::size_t blocks, const F& visit) {
  const std::size_t part = blocks / kParts;
  for (std::size_t i = 0; i < part; ++i) {
    for (std::size_t p = 0; p < kParts; ++p) visit(p, static_cast<std::uint32_t>(p * part + i));
  }
  for (std::size_t b = kParts * part; b < blocks; ++b) {
    visit(kParts - 1, static_cast<std::uint32_t>(b));
  }
}

}  // namespace

std::vector<std::uint8_t> assign_classes(const ClassCosts& costs,
                                         std::span<const BlockSigns> blocks) {
  std::vector<std::uint8_t> classes(blocks.size());
  kernels().tokens.cheapest_classes(&costs, blocks.data(), blocks.size(), classes.data());
  return classes;
}

ClassCosts fit_block_classes(std::span<const BlockSigns> blocks, double share) {
  const double all = static_cast<double>(blocks.size());
  std::vector<std::uint8_t> classes = by_activity(blocks);
  for (int round = 0; round < kRounds; ++round) {
    std::vector<std::uint8_t> next =
        assign_classes(costs_of(sum_classes(blocks, classes), all), blocks);
    if (next == classes) break;
    classes.swap(next);
  }
  std::vector<Sums> sums = sum_classes(blocks, classes);
  std::erase_if(sums, [](const Sums& s) { return s.blocks == 0; });
  join(sums, all, share);
  std::stable_sort(sums.begin(), sums.end(),
                   [](const Sums& a, const Sums& b) { return a.blocks > b.blocks; });
  return costs_of(sums, all);
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
  std::uint32_t next[kParts][kMaxClasses] = {};
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
