#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/byte_io.hpp"
#include "base/elements.hpp"
#include "codecs/entropy/sample.hpp"
#include "kernels/kernels.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {

/// The distances center + step * offset to center + step * (offset + 2^bits - 1).
struct Bin {
  std::int64_t offset;
  std::uint8_t bits;
};

/// Bins of integers (FORMAT.md, section 5.6). Each has a symbol: first come the wide bins, then the
/// single values, then the escape.
struct Bins {
  std::uint64_t center = 0;  ///< bits of an element
  std::uint64_t step = 1;
  std::vector<Bin> wide;              ///< ascending; none overlaps another
  std::vector<std::int64_t> singles;  ///< ascending offsets, which may lie in bins
  bool has_escape = false;            ///< one more symbol announces the bits of an element

  std::size_t size() const { return wide.size() + singles.size() + has_escape; }
};

inline constexpr std::size_t kMostBins = 256;

void append_bins(std::vector<std::uint8_t>& out, const Bins& bins, DType dtype);
/// Takes bins off the front of a code book. Throws CorruptFrameError if they are damaged.
Bins read_bins(ByteReader& code_book, DType dtype);

BinTable bin_table(const Bins& bins, DType dtype);
/// Bytes of room that the fields of this many elements need.
constexpr std::size_t fields_room(const BinTable& table, std::size_t count) {
  return count * table.most_bits / 8 + 17;
}
/// A BinFinder that owns its table, if it has one.
struct OwnedBinFinder : BinFinder {
  std::vector<std::uint8_t> symbols;
};
/// `elements`: about how many will be found. Throws CorruptFrameError if the bins cannot have been
/// made by fit_bins.
OwnedBinFinder bin_finder(const Bins& bins, DType dtype, std::uint64_t elements);

/// Bins for elements like those of a sample, whose values are given in ascending order; at least
/// one. Unless the sample is whole, there is an escape.
Bins fit_bins(std::span<const ValueCount> values, DType dtype, Sampled sampled);

}  // namespace gradwire
