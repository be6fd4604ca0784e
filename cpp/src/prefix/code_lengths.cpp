#include "prefix/code_lengths.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "kernels/kernels.hpp"

namespace gradwire {
namespace {

/// Depths of the leaves of a Huffman tree, for ascending weights (two queues; van Leeuwen, 1976).
std::vector<std::uint8_t> huffman_depths(std::span<const std::uint64_t> weights) {
  const std::size_t n = weights.size();
  std::vector<std::uint64_t> weight(weights.begin(), weights.end());
  weight.resize(2 * n - 1);
  std::vector<std::uint32_t> parent(2 * n - 1);
  std::size_t leaf = 0;
  std::size_t inner = n;
  for (std::size_t made = n; made < 2 * n - 1; ++made) {
    for (int child = 0; child < 2; ++child) {
      const bool take_leaf = leaf < n && (inner >= made || weight[leaf] <= weight[inner]);
      const std::size_t taken = take_leaf ? leaf++ : inner++;
      weight[made] += weight[taken];
      parent[taken] = static_cast<std::uint32_t>(made);
    }
  }
  std::vector<std::uint8_t> depth(2 * n - 1);
  for (std::size_t i = 2 * n - 2; i-- > 0;) {
    depth[i] = static_cast<std::uint8_t>(std::min(255, depth[parent[i]] + 1));
  }
  depth.resize(n);
  return depth;
}

/// Nearly optimal depths of at most `limit`, for ascending weights: raises the lowest weights step
/// by step until the limit holds. Needs 2^limit >= weights.size().
std::vector<std::uint8_t> limited_depths(std::span<const std::uint64_t> weights, unsigned limit) {
  std::vector<std::uint64_t> raised(weights.begin(), weights.end());
  const std::uint64_t total = std::accumulate(raised.begin(), raised.end(), std::uint64_t{0});
  const std::uint64_t first = std::max(total >> (limit + 1), raised.front() + 1);
  for (std::uint64_t least = first;; least += least / 4 + 1) {
    for (std::size_t i = 0; i < raised.size() && raised[i] < least; ++i) raised[i] = least;
    std::vector<std::uint8_t> depths = huffman_depths(raised);
    if (depths.front() <= limit) return depths;
  }
}

double cost(std::span<const std::uint64_t> weights, std::span<const std::uint8_t> depths) {
  double bits = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    bits += static_cast<double>(weights[i]) * depths[i];
  }
  return bits;
}

/// The depths that code_lengths returns, for ascending weights.
std::vector<std::uint8_t> depths_for(std::span<const std::uint64_t> weights, double allowance) {
  constexpr unsigned kShortLimits[] = {kLookupBits, 14, 16, 19};
  std::vector<std::uint8_t> best = huffman_depths(weights);
  if (best.front() <= kMaxCodeLength && allowance == kOptimalCode) return best;
  const double most = (1 + allowance) * cost(weights, best);
  for (const unsigned limit : kShortLimits) {
    if (best.front() <= limit) break;
    if (weights.size() > std::size_t{1} << (limit - 1)) continue;
    std::vector<std::uint8_t> depths = limited_depths(weights, limit);
    if (cost(weights, depths) <= most) return depths;
  }
  return best.front() <= kMaxCodeLength ? best : limited_depths(weights, kMaxCodeLength);
}

}  // namespace

std::vector<std::uint8_t> code_lengths(std::span<const std::uint64_t> weights, double allowance) {
  const std::size_t n = weights.size();
  std::vector<std::uint8_t> lengths(n);
  if (n < 2) return lengths;
  std::vector<std::pair<std::uint64_t, std::size_t>> order(n);  // (weight, symbol)
  for (std::size_t i = 0; i < n; ++i) order[i] = {weights[i], i};
  std::sort(order.begin(), order.end());
  std::vector<std::uint64_t> sorted(n);
  for (std::size_t i = 0; i < n; ++i) sorted[i] = std::max<std::uint64_t>(1, order[i].first);
  const std::vector<std::uint8_t> depths = depths_for(sorted, allowance);
  for (std::size_t i = 0; i < n; ++i) lengths[order[i].second] = depths[i];
  return lengths;
}

}  // namespace gradwire
