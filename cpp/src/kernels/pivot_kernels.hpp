#pragma once

// Kernels for the pivot layout; see READ ME FIRST in kernels.hpp.

#include <stddef.h>
#include <stdint.h>

namespace gradwire {

/// Elements of a block in the pivot layout (FORMAT.md, section 5.3): a list of bytes, of which a
/// pass treats some. Masks have a bit per byte, 64 to a word. `bytes` has room for a multiple
/// of 64.
struct PivotList {
  uint8_t* bytes;
  size_t size;
  const uint64_t* members;  ///< the bytes to be treated; null: all
  uint64_t* below;          ///< written: members whose bit is 0
  uint64_t* above;          ///< written: members whose bit is 1
};

/// Bits wait in `bits`, fewer than 64. A pass needs room for 16 bytes more than it writes bits.
struct PivotWriter {
  uint64_t bits;
  unsigned count;
  uint8_t* out;
};

/// Bits past `readable_end` are 0.
struct PivotReader {
  const uint8_t* in;
  uint64_t position;  ///< in bits
  const uint8_t* readable_end;
};

/// What a list of bytes is made of: to each byte belong the deltas of the masks that have a 1
/// there.
inline constexpr unsigned kMaxLayers = 8;
struct PivotLayers {
  unsigned count;
  const uint64_t* mask[kMaxLayers];
  uint8_t delta[kMaxLayers];
  bool add;       ///< to the bytes that are there
  uint8_t value;  ///< of the bytes before, otherwise
};

struct PivotKernels {
  /// What moving members to a list of their own costs, in eighths of a pass over the list.
  unsigned move_cost;

  /// Writes a bit for each member: whether its rank is at least `pivot`. Returns the ones.
  size_t (*split)(const PivotList* list, uint8_t pivot, PivotWriter* writer);

  /// Writes bit `bit` of each member's rank - `first`. Masks mean nothing afterwards.
  void (*plane)(const PivotList* list, uint8_t first, unsigned bit, PivotWriter* writer);

  /// Reads a bit for each member. Returns the ones.
  size_t (*place)(const PivotList* list, PivotReader* reader);

  /// The same, but writes only `above`.
  void (*place_plane)(const PivotList* list, PivotReader* reader);

  /// Makes `size` bytes; may write what is left of the last 64.
  void (*compose)(const PivotLayers* layers, uint8_t* bytes, size_t size);

  /// Writes the members close together to `out`; may write 64 bytes after them.
  void (*gather)(const PivotList* list, uint8_t* out);

  /// Adds the bytes at `from` to the members, in order; may read 64 bytes more.
  void (*scatter_add)(const uint8_t* from, const PivotList* list);
};

}  // namespace gradwire
