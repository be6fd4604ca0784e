#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "prefix/prefix_code.hpp"

namespace gradwire {

/// A node in the tree of a canonical prefix code. Leaves are numbered from left to right: the
/// *rank* of a symbol is its place in the order of the code words.
struct PivotNode {
  std::uint32_t first;     ///< lowest rank
  std::uint32_t pivot;     ///< lowest rank of the right child
  std::uint32_t end;       ///< one more than the highest rank
  std::uint32_t child[2];  ///< indices of the children; meaningless in a leaf
  unsigned depth;          ///< of the leaves below this node if all are equally deep; else 0
  std::uint32_t passes;    ///< passes over elements to code the subtree; 0: a leaf

  bool is_leaf() const { return passes == 0; }
  bool is_flat() const { return depth > 0; }
};

/// All nodes of the tree, including those below flat nodes; the root comes last.
using PivotTree = std::vector<PivotNode>;
PivotTree pivot_tree(const PrefixCode& code);

/// Whether to move the members of a node to a separate list, instead of coding the node in its
/// parent's list behind a mask. Costs are in eighths of a pass over one element: moving costs
/// `move_cost` per element of the parent's list, a pass behind a mask costs 8 * size, a pass over a
/// separate list 7 * members. A chain can also move later, when fewer members are left.
bool is_worth_a_list(const PivotTree& tree, const PivotNode& node, std::size_t members,
                     std::size_t size, unsigned move_cost);

/// The cost of coding per element of a block: passes over elements, and moves of elements.
struct PivotWork {
  double passes;
  double moves;
};

/// `weights`: frequencies of the symbols, in the order of their code words.
PivotWork pivot_work(const PivotTree& tree, std::span<const std::uint64_t> weights);

}  // namespace gradwire
