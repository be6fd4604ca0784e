#pragma once

#include <bit>
#include <cstdint>

#include "kernels/kernels.hpp"

namespace gradwire {

// The cells of BinFinder, outside of kernels. A cell holds neighboring distances of one sign. Those
// of distances that are not negative come first; those of ~distance follow in the same order.

inline constexpr std::uint64_t kFirstCells = std::uint64_t{2} << kCellBits;  // of width 1

/// As cell_of in kernels/generic/bins.inl.hpp.
constexpr std::size_t distance_cell(std::int64_t distance) {
  const bool is_negative = distance < 0;
  const std::uint64_t size = static_cast<std::uint64_t>(is_negative ? ~distance : distance);
  const unsigned shift =
      static_cast<unsigned>(std::bit_width(size | std::uint64_t{1} << kCellBits)) - 1 - kCellBits;
  return (is_negative ? kCellsOfSign : 0) + (std::size_t{shift} << kCellBits) +
         static_cast<std::size_t>(size >> shift);
}

/// log2 of the width of a cell of either sign.
constexpr unsigned cell_bits(std::size_t cell) {
  const std::size_t of_sign = cell % kCellsOfSign;
  return of_sign < kFirstCells ? 0 : static_cast<unsigned>((of_sign >> kCellBits) - 1);
}

/// The distance in a cell that is closest to the center.
constexpr std::int64_t first_in_cell(std::size_t cell) {
  const std::size_t of_sign = cell % kCellsOfSign;
  const unsigned bits = cell_bits(cell);
  const std::uint64_t size = (std::uint64_t{of_sign} - (std::uint64_t{bits} << kCellBits)) << bits;
  const std::int64_t distance = static_cast<std::int64_t>(size);
  return cell < kCellsOfSign ? distance : ~distance;
}

/// The distance in a cell that is farthest from the center.
constexpr std::int64_t last_in_cell(std::size_t cell) {
  const std::int64_t more = static_cast<std::int64_t>((std::uint64_t{1} << cell_bits(cell)) - 1);
  const std::int64_t first = first_in_cell(cell);
  return cell < kCellsOfSign ? first + more : first - more;
}

}  // namespace gradwire
