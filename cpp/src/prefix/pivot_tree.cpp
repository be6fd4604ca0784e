#include "prefix/pivot_tree.hpp"

namespace gradwire {
namespace {

class TreeBuilder {
 public:
  explicit TreeBuilder(const PrefixCode& code) : code_(code) { build(0); }

  PivotTree nodes;

 private:
  /// Builds the subtree that begins at rank next_, `level` levels below the root; returns its
  /// index.
  std::uint32_t build(unsigned level) {
    PivotNode node{next_, next_, 0, {0, 0}, 0, 0};
    if (code_.length(code_.in_order()[next_]) == level) {
      ++next_;
    } else {
      node.child[0] = build(level + 1);
      node.pivot = next_;
      node.child[1] = build(level + 1);
      measure(node);
    }
    node.end = next_;
    nodes.push_back(node);
    return static_cast<std::uint32_t>(nodes.size() - 1);
  }

  void measure(PivotNode& node) const {
    const PivotNode& left = nodes[node.child[0]];
    const PivotNode& right = nodes[node.child[1]];
    const bool even = left.depth == right.depth && left.is_leaf() == right.is_leaf() &&
                      (left.is_leaf() || left.is_flat());
    node.depth = even ? left.depth + 1 : 0;
    node.passes = even ? node.depth : 1 + left.passes + right.passes;
  }

  const PrefixCode& code_;
  std::uint32_t next_ = 0;
};

/// Walks the tree as a coder does, but with sums of weights instead of elements.
class WorkCounter {
 public:
  WorkCounter(const PivotTree& tree, std::span<const std::uint64_t> weights) : tree_(tree) {
    for (const std::uint64_t weight : weights) below_.push_back(below_.back() + weight);
    count(tree.back(), members(tree.back()));
  }

  PivotWork per_element() const {
    const auto all = static_cast<double>(below_.back());
    return {static_cast<double>(passes_) / all, static_cast<double>(moves_) / all};
  }

 private:
  std::uint64_t members(const PivotNode& node) const {
    return below_[node.end] - below_[node.first];
  }

  /// `size`: length of the list in which the node is coded.
  void count(const PivotNode& node, std::uint64_t size) {
    passes_ += size * (node.is_flat() ? node.depth : 1);
    if (node.is_flat()) return;
    for (const std::uint32_t index : node.child) {
      const PivotNode& child = tree_[index];
      if (child.is_leaf()) continue;
      const bool own = is_worth_a_list(tree_, child, members(child), size, kMoveCost);
      if (own) moves_ += size;
      count(child, own ? members(child) : size);
    }
  }

  /// Fixed for every instruction set, unlike PivotKernels::move_cost; changing it changes frame
  /// bytes.
  static constexpr unsigned kMoveCost = 24;
  const PivotTree& tree_;
  std::vector<std::uint64_t> below_{0};  // by rank: sum of the weights of all lower ranks
  std::uint64_t passes_ = 0;
  std::uint64_t moves_ = 0;
};

}  // namespace

PivotTree pivot_tree(const PrefixCode& code) { return TreeBuilder(code).nodes; }

bool is_worth_a_list(const PivotTree& tree, const PivotNode& node, std::size_t members,
                     std::size_t size, unsigned move_cost) {
  const std::size_t saved = 8 * size - 7 * members;
  if (node.passes * saved <= move_cost * size) return false;
  const bool is_chain = !node.is_flat() && tree[node.child[0]].is_leaf();
  return !is_chain || saved >= move_cost * members;
}

PivotWork pivot_work(const PivotTree& tree, std::span<const std::uint64_t> weights) {
  return WorkCounter(tree, weights).per_element();
}

}  // namespace gradwire
