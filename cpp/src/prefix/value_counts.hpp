#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/chunked_array.hpp"
#include "gradwire/codec.hpp"

namespace gradwire {

/// How often a value occurs.
struct ValueCount {
  std::uint64_t key;
  std::uint64_t count;
};

/// Smallest and largest key of an array that is not empty.
struct KeyRange {
  std::uint64_t smallest;
  std::uint64_t largest;

  /// Whether the lowest 8 bits tell all values apart.
  bool fits_a_byte() const { return largest - smallest <= 255; }
};

/// Of elements, of which there are some.
KeyRange key_range(const Elements& elements);
/// The same, but {0, 255} for any bytes.
KeyRange key_range(const ChunkedArray& array);

/// The exact histogram in ascending order of keys; nothing if it exceeds kMaxSymbols values.
std::optional<std::vector<ValueCount>> count_values(const ChunkedArray& array);

/// A histogram from `sample_size` cache lines of 64 elements, spread evenly and placed at random by
/// `seed`, or from all elements where there are no more than that.
struct Sample {
  std::vector<ValueCount> values;  ///< ascending
  bool complete;                   ///< all elements were read
};
std::optional<Sample> sample_values(const ChunkedArray& array, const Options& options);

}  // namespace gradwire
