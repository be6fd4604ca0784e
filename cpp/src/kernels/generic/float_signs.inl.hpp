#pragma once

// The signs and zeros of floats, as bits.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../float_kernels.hpp"
#include "bits.inl.hpp"
#include "float_lanes.inl.hpp"
#include "memory.inl.hpp"

namespace gradwire {
namespace {

// Tests the bits of floats. Comparisons would not do: a process may have set the mode in which
// subnormal numbers compare equal to 0.
template <typename Steps>
void sign_bits(const float* x, size_t count, uint8_t* negative, uint8_t* nonzero) {
  const auto look_at = [&](const float* in, size_t i) {
    load_ahead_on_intel<sizeof(FloatLanes)>(in);
    const IntLanes bits = load_lanes<IntLanes>(in);
    const unsigned is_nonzero = Steps::highest_bits((bits << 1) != 0);
    negative[i / kLanes] = static_cast<uint8_t>(Steps::highest_bits(bits) & is_nonzero);
    nonzero[i / kLanes] = static_cast<uint8_t>(is_nonzero);
  };
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) look_at(x + i, i);
  if (i < count) look_at(Padded<kLanes, float>(x + i, count - i).lanes, i);
}

template <bool HasZeros, bool Add>
void write_signs(const uint8_t* negative, const uint8_t* nonzero, size_t first, size_t count,
                 const float value[2], float* out) {
  size_t i = 0;
  const auto one = [&] {
    const size_t byte = (first + i) / 8;
    const size_t bit = (first + i) % 8;
    float v = value[negative[byte] >> bit & 1];
    if constexpr (HasZeros) v = (nonzero[byte] >> bit & 1) != 0 ? v : 0;
    out[i] = Add ? out[i] + v : v;
    ++i;
  };
  while (i < count && (first + i) % 8 != 0) one();
  const UintLanes bit = {1, 2, 4, 8, 16, 32, 64, 128};
  const FloatLanes low = all_lanes(value[0]);
  const FloatLanes high = all_lanes(value[1]);
  const auto has_bit = [&](const uint8_t* bits) {
    return ((UintLanes{} + bits[(first + i) / 8]) & bit) != 0;
  };
  for (; i + kLanes <= count; i += kLanes) {
    load_ahead_on_intel<sizeof(FloatLanes)>(out + i);
    FloatLanes v = has_bit(negative) ? high : low;
    if constexpr (HasZeros) v = has_bit(nonzero) ? v : FloatLanes{};
    if constexpr (Add) v = load_lanes<FloatLanes>(out + i) + v;
    store_lanes(out + i, v);
  }
  while (i < count) one();
}

void generic_from_signs(const uint8_t* negative, const uint8_t* nonzero, size_t first, size_t count,
                        const float value[2], bool add, float* out) {
  if (nonzero == nullptr) {
    return add ? write_signs<false, true>(negative, nonzero, first, count, value, out)
               : write_signs<false, false>(negative, nonzero, first, count, value, out);
  }
  return add ? write_signs<true, true>(negative, nonzero, first, count, value, out)
             : write_signs<true, false>(negative, nonzero, first, count, value, out);
}

// Uses the bit writer and the bit reader of bits.inl.hpp.
template <typename Steps>
void keep_bits(const uint8_t* bits, const uint8_t* mask, size_t count, uint8_t* kept) {
  PivotWriter writer = {0, 0, kept};
  for (size_t i = 0; 8 * i < count; i += 8) {
    const uint64_t ones = load64(mask + i);
    put(writer, Steps::extract(load64(bits + i), ones), count_ones(ones));
  }
  store64(writer.out, writer.bits);
}

template <typename Steps>
void spread_bits(const uint8_t* kept, const uint8_t* kept_end, size_t first, const uint8_t* mask,
                 size_t count, uint8_t* bits) {
  PivotReader reader = {kept, first, kept_end};
  for (size_t i = 0; 8 * i < count; i += 8) {
    const uint64_t ones = load64(mask + i);
    store64(bits + i, Steps::deposit(take(reader, count_ones(ones)), ones));
  }
}

}  // namespace
}  // namespace gradwire
