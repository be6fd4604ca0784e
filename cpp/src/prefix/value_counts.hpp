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

/// The range of `elements`, which must not be empty.
KeyRange key_range(const Elements& elements);
/// The range of an array; always {0, 255} if its elements are bytes.
KeyRange key_range(const ChunkedArray& array);

/// The exact histogram in ascending order of keys, or nullopt if there are more than kMaxSymbols
/// values.
std::optional<std::vector<ValueCount>> count_values(const ChunkedArray& array);

/// A histogram of `sample_size` groups of 64 elements, spread evenly and placed at random by
/// `seed`, or of all elements if there are no more than that.
struct Sample {
  std::vector<ValueCount> values;  ///< ascending
  bool complete;                   ///< whether all elements were read

  /// The estimated share of elements whose value is not in the sample: that of the values seen once
  /// (Good, Biometrika 40, 1953).
  double unseen_share() const;
};
std::optional<Sample> sample_values(const ChunkedArray& array, const Options& options);

}  // namespace gradwire
