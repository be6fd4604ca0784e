#include "code_lengths.hpp"

#include <algorithm>
#include <numeric>

#include "kernels/kernels.hpp"

namespace gradwire {
namespace {

/// Depths in a Huffman tree over ascending weights (two queues; van Leeuwen, 1976).
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

/// Optimal depths of at most `limit` over ascending weights (package-merge; Larmore and
/// Hirschberg, JACM 37(3), 1990). Needs 2^limit >= weights.size() >= 2.
std::vector<std::uint8_t> limited_depths(std::span<const std::uint64_t> weights, unsigned limit) {
  const std::size_t n = weights.size();
  std::vector<std::vector<bool>> is_leaf(limit);
  std::vector<std::uint64_t> row;
  std::vector<std::uint64_t> next;
  for (unsigned level = 0; level < limit; ++level) {
    const std::size_t packages = row.size() / 2;
    next.clear();
    is_leaf[level].reserve(n + packages);
    std::size_t leaf = 0;
    std::size_t package = 0;
    while (leaf < n || package < packages) {
      const std::uint64_t sum =
          package < packages ? row[2 * package] + row[2 * package + 1] : ~std::uint64_t{0};
      const bool take_leaf = leaf < n && weights[leaf] <= sum;
      next.push_back(take_leaf ? weights[leaf++] : sum);
      package += !take_leaf;
      is_leaf[level].push_back(take_leaf);
    }
    row.swap(next);
  }
  std::vector<std::uint8_t> depth(n);
  std::size_t taken = 2 * n - 2;
  for (unsigned level = limit; level-- > 0;) {
    std::size_t leaves = 0;
    for (std::size_t i = 0; i < taken; ++i) leaves += is_leaf[level][i];
    for (std::size_t i = 0; i < leaves; ++i) ++depth[i];
    taken = 2 * (taken - leaves);
  }
  return depth;
}

/// Depths of at most `limit` that are near the best ones, quickly: those of the Huffman tree are
/// cut, the lightest symbols below pay for that, and what is left over shortens the heaviest.
/// Needs 2^limit >= weights.size().
std::vector<std::uint8_t> cut_depths(std::span<const std::uint8_t> huffman, unsigned limit) {
  std::vector<std::uint8_t> depths(huffman.begin(), huffman.end());
  std::int64_t excess = -(std::int64_t{1} << limit);
  for (std::uint8_t& depth : depths) {
    depth = std::min(depth, static_cast<std::uint8_t>(limit));
    excess += std::int64_t{1} << (limit - depth);
  }
  for (std::size_t i = 0; excess > 0; ++i) {
    for (; depths[i] < limit && excess > 0; ++depths[i]) {
      excess -= std::int64_t{1} << (limit - depths[i] - 1);
    }
  }
  for (std::size_t i = depths.size(); excess < 0;) {
    --i;
    for (; std::int64_t{1} << (limit - depths[i]) <= -excess; --depths[i]) {
      excess += std::int64_t{1} << (limit - depths[i]);
    }
  }
  return depths;
}

double cost(std::span<const std::uint64_t> weights, std::span<const std::uint8_t> depths) {
  double bits = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    bits += static_cast<double>(weights[i]) * depths[i];
  }
  return bits;
}

/// Depths over ascending weights, as code_lengths wants them.
std::vector<std::uint8_t> depths_for(std::span<const std::uint64_t> weights, Lengths wanted) {
  constexpr unsigned kShortLimits[] = {kLookupBits, 14, 16, 19};
  constexpr double kTolerance = 1.0008;
  std::vector<std::uint8_t> best = huffman_depths(weights);
  const double most = kTolerance * cost(weights, best);
  for (const unsigned limit : kShortLimits) {
    if (wanted == Lengths::kOptimal || best.front() <= limit) break;
    if (weights.size() > std::size_t{1} << (limit - 1)) continue;
    std::vector<std::uint8_t> depths = cut_depths(best, limit);
    if (cost(weights, depths) <= most) return depths;
  }
  return best.front() <= kMaxCodeLength ? best : limited_depths(weights, kMaxCodeLength);
}

}  // namespace

std::vector<std::uint8_t> code_lengths(std::span<const std::uint64_t> weights, Lengths wanted) {
  const std::size_t n = weights.size();
  std::vector<std::uint8_t> lengths(n);
  if (n < 2) return lengths;
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return weights[a] != weights[b] ? weights[a] < weights[b] : a < b;
  });
  std::vector<std::uint64_t> sorted(n);
  for (std::size_t i = 0; i < n; ++i) sorted[i] = std::max<std::uint64_t>(1, weights[order[i]]);
  const std::vector<std::uint8_t> depths = depths_for(sorted, wanted);
  for (std::size_t i = 0; i < n; ++i) lengths[order[i]] = depths[i];
  return lengths;
}

}  // namespace gradwire
