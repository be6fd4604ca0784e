#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "prefix/prefix_code.hpp"

namespace gradwire {

/// The tree of a canonical prefix code. Its leaves are numbered from left to right: the *rank* of a
/// symbol is its place in the order of the code words.
struct PivotNode {
  std::uint32_t first;     ///< lowest rank
  std::uint32_t pivot;     ///< lowest rank of the right child
  std::uint32_t end;       ///< one more than the highest rank
  std::uint32_t child[2];  ///< indices of nodes; none if `passes` is 0
  unsigned depth;          ///< of all leaves below this node, if that is the same; else 0
  std::uint32_t passes;    ///< over the elements that coding the subtree takes; 0: a leaf

  bool is_leaf() const { return passes == 0; }
  bool is_flat() const { return depth > 0; }
};

/// Nodes of the tree, the root last. Nodes below a flat one are there too.
using PivotTree = std::vector<PivotNode>;
PivotTree pivot_tree(const PrefixCode& code);

/// A node is treated in the list of its parent, behind a mask, or in a list of its own, to which
/// its members are moved. In eighths of a pass over the parent's list, moving costs `move_cost`
/// per element: a pass behind a mask costs 8 * size, one over an own list 7 * members. A chain may
/// also move later, when fewer are left.
bool is_worth_a_list(const PivotTree& tree, const PivotNode& node, std::size_t members,
                     std::size_t size, unsigned move_cost);

/// What coding costs per element of a block: passes over elements, and elements that are moved.
struct PivotWork {
  double passes;
  double moves;
};

/// `weights`: how frequent the symbols are, in the order of their code words.
PivotWork pivot_work(const PivotTree& tree, std::span<const std::uint64_t> weights);

}  // namespace gradwire
