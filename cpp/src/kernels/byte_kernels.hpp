#pragma once

// Kernels on bytes and on elements as bytes; see READ ME FIRST in kernels.hpp.

#include <stddef.h>
#include <stdint.h>

namespace gradwire {

/// A set of bytes: byte b is in it if bit b / 16 % 8 of rows[b / 128][b % 16] is 1.
struct ByteSet {
  uint8_t rows[2][16];
};

/// A map of bytes, of which those in rows of 16 other than `row` are not used.
struct ByteMap {
  uint8_t to[256];
  uint8_t rows;     ///< how many of `row` are in use
  uint8_t row[16];  ///< the others repeat one of these
};

struct ByteKernels {
  /// Adds the number of times each byte occurs to `counts`.
  void (*histogram)(const uint8_t* data, size_t size, uint64_t counts[256]);

  /// Index of the first byte that is not in the set; `size` if all are.
  size_t (*find_outside)(const ByteSet* set, const uint8_t* data, size_t size);

  /// Replaces each byte; `in` and `out` are the same or apart.
  void (*map_bytes)(const ByteMap* map, const uint8_t* in, size_t size, uint8_t* out);

  /// CRC-32C of `data`, continued from `crc` (0 at the start).
  uint32_t (*crc32c)(uint32_t crc, const uint8_t* data, size_t size);

  /// Writes the first index of each run of equal elements (width 1, 2, 4 or 8 bytes) to `starts`
  /// and returns how many runs there are. `starts` has room for count + 8 entries; count < 2^16.
  size_t (*run_starts)(const uint8_t* data, size_t count, size_t width, uint16_t* starts);

  /// The lowest byte of each element (width 1, 2, 4 or 8 bytes) - `zero`. `out` may be `elements`
  /// if these are bytes.
  void (*narrow)(const uint8_t* elements, size_t count, size_t width, uint8_t zero, uint8_t* out);

  /// Elements of `base` + (byte - `zero`, modulo 256). `out` may be `bytes` if the width is 1.
  void (*widen)(const uint8_t* bytes, size_t count, uint8_t zero, uint64_t base, size_t width,
                uint8_t* out);

  /// Extends a range, of the smallest and the largest, to all elements' bits exclusive-or `flip`.
  void (*range)(const uint8_t* elements, size_t count, size_t width, uint64_t flip,
                uint64_t range[2]);
};

}  // namespace gradwire
