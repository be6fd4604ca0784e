#pragma once

#include <cstdint>
#include <span>

#include "base/chunked_array.hpp"
#include "base/scratch.hpp"
#include "codecs/entropy/token_book.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {

// Samples from which codes are fitted. They consist of groups of neighbors, spread evenly over the
// array, and are enlarged until they have enough rare elements: in some gradients, only a few rows
// are not zero.

/// What a sample says about the sequences that it was taken from.
struct Sampled {
  bool is_whole;      ///< there are no elements other than those of the sample
  bool is_one_chunk;  ///< which is also whole
  double share;       ///< elements of the sequences for each element of the sample
  bool codes_others;  ///< the code is for other arrays, too, that may have any values
};

/// Most elements that take_bytes and take_elements need room for.
std::uint64_t most_sampled_bytes(std::uint64_t elements);
std::uint64_t most_sampled_elements(std::uint64_t elements);

/// The lowest bytes of some elements.
struct ByteSample {
  std::span<std::uint8_t> bytes;  ///< in `room`
  ByteCounts histogram;
};
ByteSample take_bytes(const ChunkedArray& array, const Scratch& room);

/// The largest count. std::max_element would wait for a load after each comparison.
std::uint64_t largest(const ByteCounts& counts);

/// Some elements, one group after the other, in `room` or in the array.
Elements take_elements(const ChunkedArray& array, const Scratch& room);

/// Number of runs of equal elements.
std::size_t count_runs(const Elements& elements);

/// The values of a sample, ascending, and how often each occurs. `runs`: as count_runs says.
std::vector<ValueCount> count_sample(const Elements& sample, std::size_t runs);

}  // namespace gradwire
