#pragma once

// Selects or counts floats of large magnitude.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../float_kernels.hpp"
#include "float_lanes.inl.hpp"

namespace gradwire {
namespace {

// Magnitudes are in the same order as their bits, taken as integers.
template <typename Steps>
size_t select_above(const float* x, size_t count, float threshold, uint32_t first,
                    uint32_t* indices, float* values) {
  int32_t least;
  memcpy(&least, &threshold, sizeof(least));
  const auto is_above = [&](FloatLanes v) {
    return (reinterpret_cast<IntLanes>(v) & static_cast<int32_t>(kMagnitude)) >= least;
  };
  size_t found = 0;
  size_t i = 0;
  constexpr size_t kStep = 4 * kLanes;
  for (; i + kStep <= count; i += kStep) {
    FloatLanes v[4];
    IntLanes above[4];
    for (size_t k = 0; k < 4; ++k) {
      v[k] = load_lanes<FloatLanes>(x + i + k * kLanes);
      above[k] = is_above(v[k]);
    }
    if (Steps::highest_bits((above[0] | above[1]) | (above[2] | above[3])) == 0) continue;
    for (size_t k = 0; k < 4; ++k) {
      const unsigned mask = Steps::highest_bits(above[k]);
      found += Steps::keep(v[k], mask, first + static_cast<uint32_t>(i + k * kLanes),
                           indices + found, values + found);
    }
  }
  for (; i < count; ++i) {
    indices[found] = first + static_cast<uint32_t>(i);
    values[found] = x[i];
    int32_t bits;
    memcpy(&bits, x + i, sizeof(bits));
    found += (bits & static_cast<int32_t>(kMagnitude)) >= least;
  }
  return found;
}

size_t generic_count_above(const float* x, size_t count, float threshold) {
  int32_t least;
  memcpy(&least, &threshold, sizeof(least));
  constexpr size_t kBlock = size_t{1} << 20;
  size_t found = 0;
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t end = count - begin < kBlock ? count : begin + kBlock;
    IntLanes total = {};
    size_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      const FloatLanes v = load_lanes<FloatLanes>(x + i);
      total -= (reinterpret_cast<IntLanes>(v) & static_cast<int32_t>(kMagnitude)) >= least;
    }
    for (size_t k = 0; k < kLanes; ++k) found += static_cast<size_t>(total[k]);
    for (; i < end; ++i) {
      int32_t bits;
      memcpy(&bits, x + i, sizeof(bits));
      found += (bits & static_cast<int32_t>(kMagnitude)) >= least;
    }
  }
  return found;
}

}  // namespace
}  // namespace gradwire
