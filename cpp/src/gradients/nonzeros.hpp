#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace gradwire {

/// The elements of an array of which some bit is 1, close together, and where they stand.
struct Nonzeros {
  std::vector<std::uint8_t> bits;  ///< one per element of the array, lowest first
  std::unique_ptr<std::uint8_t[]> elements;
  std::uint64_t count = 0;
};
Nonzeros find_nonzeros(const std::uint8_t* elements, std::uint64_t count, std::size_t width,
                       int threads);

/// Elements of the array of which `bits` tells, from the n-th nonzero one on, for each n of
/// `numbers`, which ascend from 0; `count` at the end. Throws CorruptFrameError unless there are
/// numbers.back() ones, and bits past `count` are 0.
std::vector<std::uint64_t> places_of(std::span<const std::uint8_t> bits, std::uint64_t count,
                                     std::span<const std::uint64_t> numbers);

}  // namespace gradwire
