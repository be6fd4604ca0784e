#pragma once

// Kernels for the pivot layout; see READ ME FIRST in kernels.hpp.

#include <stddef.h>
#include <stdint.h>

namespace gradwire {

/// Elements of a block in the pivot layout (FORMAT.md, section 5.3), as a list of bytes. A pass
/// treats its members. Masks have a bit per byte, 64 to a word. `bytes` has room for a multiple
/// of 64 bytes.
struct PivotList {
  uint8_t* bytes;
  size_t size;
  const uint64_t* members;  ///< mask of the bytes to be treated; null: all
  uint64_t* below;          ///< output: mask of the members whose bit is 0
  uint64_t* above;          ///< output: mask of the members whose bit is 1
};

/// `bits` holds the `count` bits, fewer than 64, that are not yet written to `out`. A pass needs
/// 16 bytes of room beyond the bits that it writes.
struct PivotWriter {
  uint64_t bits;
  unsigned count;
  uint8_t* out;
};

/// Bits past `readable_end` read as 0.
struct PivotReader {
  const uint8_t* in;
  uint64_t position;  ///< in bits
  const uint8_t* readable_end;
};

/// How compose() makes a list of bytes: a byte is its start value plus the deltas of all masks that
/// have a 1 at its place.
inline constexpr unsigned kMaxLayers = 8;
struct PivotLayers {
  unsigned count;
  const uint64_t* mask[kMaxLayers];
  uint8_t delta[kMaxLayers];
  bool add;       ///< start from the bytes that are in the list
  uint8_t value;  ///< the start value of all bytes if not `add`
};

struct PivotKernels {
  /// Cost of moving the members to a separate list, in eighths of a pass over the list.
  unsigned move_cost;

  /// Writes a bit for each member: whether its rank is at least `pivot`. Returns the number of
  /// ones.
  size_t (*split)(const PivotList* list, uint8_t pivot, PivotWriter* writer);

  /// Writes bit `bit` of (rank - `first`) for each member. The masks are undefined afterwards.
  void (*plane)(const PivotList* list, uint8_t first, unsigned bit, PivotWriter* writer);

  /// Reads a bit for each member. Returns the number of ones.
  size_t (*place)(const PivotList* list, PivotReader* reader);

  /// Like place(), but writes only `above` and does not count.
  void (*place_plane)(const PivotList* list, PivotReader* reader);

  /// Makes `size` bytes; may write up to the next multiple of 64.
  void (*compose)(const PivotLayers* layers, uint8_t* bytes, size_t size);

  /// Packs the members together in `out`; may write 64 bytes past them.
  void (*gather)(const PivotList* list, uint8_t* out);

  /// Adds the bytes at `from` to the members, in order; may read 64 bytes past those.
  void (*scatter_add)(const uint8_t* from, const PivotList* list);
};

}  // namespace gradwire
