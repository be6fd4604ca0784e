#pragma once

// Kernels on bytes and on elements as bytes; see READ ME FIRST in kernels.hpp.

#include <stddef.h>
#include <stdint.h>

namespace gradwire {

/// A set of bytes. Byte b is in the set if bit b / 16 % 8 of rows[b / 128][b % 16] is 1.
struct ByteSet {
  uint8_t rows[2][16];
};

/// Maps byte b to to[b]. Row r holds the bytes 16 * r to 16 * r + 15; only bytes of the rows listed
/// in `row` may be mapped.
struct ByteMap {
  uint8_t to[256];
  uint8_t rows;     ///< number of rows that may be mapped
  uint8_t row[16];  ///< these rows first; the other entries repeat one of them
};

struct ByteKernels {
  /// Adds the number of times each byte occurs to `counts`.
  void (*histogram)(const uint8_t* data, size_t size, uint64_t counts[256]);

  /// Index of the first byte that is not in the set, or `size` if all are in it.
  size_t (*find_outside)(const ByteSet* set, const uint8_t* data, size_t size);

  /// Maps each byte. `in` and `out` are equal or do not overlap.
  void (*map_bytes)(const ByteMap* map, const uint8_t* in, size_t size, uint8_t* out);

  /// The CRC-32C of `data`, continued from `crc` (0 at the start).
  uint32_t (*crc32c)(uint32_t crc, const uint8_t* data, size_t size);

  /// Writes the first index of each run of equal elements (width 1, 2, 4 or 8 bytes) to `starts`
  /// and returns the number of runs. `starts` has room for count + 8 entries; count < 2^16.
  size_t (*run_starts)(const uint8_t* data, size_t count, size_t width, uint16_t* starts);

  /// Writes the lowest byte of each element (width 1, 2, 4 or 8 bytes) minus `zero`, modulo 256.
  /// `out` may be `elements` if the width is 1.
  void (*narrow)(const uint8_t* elements, size_t count, size_t width, uint8_t zero, uint8_t* out);

  /// Writes an element of `width` bytes for each byte: `base` + (byte - `zero` modulo 256). `out`
  /// may be `bytes` if the width is 1.
  void (*widen)(const uint8_t* bytes, size_t count, uint8_t zero, uint64_t base, size_t width,
                uint8_t* out);

  /// Extends `range`, which holds the smallest and the largest key, to the keys of all elements.
  /// A key is the element's bits, as an unsigned integer, XOR `flip`.
  void (*range)(const uint8_t* elements, size_t count, size_t width, uint64_t flip,
                uint64_t range[2]);
};

}  // namespace gradwire
