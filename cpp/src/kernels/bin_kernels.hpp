#pragma once

// Kernels for bins of integers; see READ ME FIRST in kernels.hpp.

#include <stddef.h>
#include <stdint.h>

namespace gradwire {

/// What the symbols of bins stand for (FORMAT.md, section 5.6): symbol s and a field of bits[s]
/// bits for the element low[s] + step[s] * field, modulo 2 to the power of the element's bits.
struct BinTable {
  uint64_t low[256];
  uint64_t step[256];
  uint8_t bits[256];
  unsigned most_bits;  ///< largest of `bits`
  bool has_steps;      ///< whether any step is not 1
};

/// Distances from a center are sorted into cells. The smallest ones have cells of their own; in
/// each larger octave, 2^kCellBits cells are equally wide.
inline constexpr unsigned kCellBits = 5;
inline constexpr size_t kCellsOfSign = size_t{(64 - kCellBits + 1)} << kCellBits;
inline constexpr size_t kCells = 2 * kCellsOfSign;
/// Marks cells whose values differ in their symbols.
inline constexpr uint8_t kSearched = 255;

/// Intervals in ascending order; none overlaps another.
struct Intervals {
  size_t count;
  int64_t first[256];  ///< distance in steps
  int64_t last[256];
  uint8_t symbol[256];
};

/// Finds the symbols of elements.
struct BinFinder {
  uint64_t center;         ///< bits of an element
  uint64_t inverse;        ///< of the odd factor of the step, modulo 2^64
  uint64_t limit;          ///< quotients by the odd factor are at most this, in magnitude
  unsigned shift;          ///< the step is its odd factor, times 2^shift
  uint8_t symbol[kCells];  ///< of each cell of distances in steps; or kSearched
  int64_t low[256];        ///< lowest distance in steps of each symbol's bin
  bool has_escape;
  uint8_t escape;  ///< symbol whose field is the element itself
  /// Null, or the symbols of all elements of two bytes. (5 times as fast if many values are
  /// searched.)
  const uint8_t* direct;
  Intervals singles;  ///< are looked for first in searched cells
  Intervals bins;     ///< may contain single values
};

struct BinKernels {
  /// Writes the symbol of each element (width 1, 2, 4 or 8 bytes) to `symbols`, and its field to a
  /// bit stream at `out`, which has room for 16 bytes more than these fields. Returns the number of
  /// bits; the last byte is padded with zeros.
  size_t (*write)(const BinFinder* finder, const BinTable* table, const uint8_t* elements,
                  size_t count, size_t width, uint8_t* symbols, uint8_t* out);

  /// Makes the elements of `symbols` and of the fields in [in, in_end). Returns false unless the
  /// fields use up the input exactly.
  bool (*read)(const BinTable* table, const uint8_t* symbols, size_t count, size_t width,
               const uint8_t* in, const uint8_t* in_end, uint8_t* out);

  /// Writes the places of the elements that differ from `value` and returns their number. There is
  /// room for `count` places and 8 more.
  size_t (*find_others)(const uint8_t* elements, size_t count, size_t width, uint64_t value,
                        uint32_t* places);
};

}  // namespace gradwire
