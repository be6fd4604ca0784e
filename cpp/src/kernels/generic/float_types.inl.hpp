#pragma once

// Converts other types of floats to float32.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../float_kernels.hpp"
#include "widths.inl.hpp"

namespace gradwire {
namespace {

float float_from_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof(value));
  return value;
}

// A multiplication by 2^112 adjusts the exponent, also for subnormal numbers.
float float_from_half(uint16_t half) {
  const uint32_t magnitude = half & 0x7FFFu;
  const float finite = float_from_bits(magnitude << 13) * 0x1p112f;
  uint32_t bits;
  memcpy(&bits, &finite, sizeof(bits));
  bits = magnitude >= 0x7C00 ? kInfinityBits | magnitude << 13 : bits;
  return float_from_bits(bits | (half & 0x8000u) << 16);
}

template <typename T, typename F>
void convert(const uint8_t* elements, size_t count, float* __restrict out, const F& value) {
  const auto* in = reinterpret_cast<const Unaligned<T>*>(elements);
  for (size_t i = 0; i < count; ++i) out[i] = value(in[i].bits);
}

void generic_from_float16(const uint8_t* elements, size_t count, float* out) {
  convert<uint16_t>(elements, count, out, float_from_half);
}

void generic_from_bfloat16(const uint8_t* elements, size_t count, float* out) {
  convert<uint16_t>(elements, count, out,
                    [](uint32_t high) { return float_from_bits(high << 16); });
}

void generic_from_float64(const uint8_t* elements, size_t count, float* out) {
  convert<double>(elements, count, out, [](double x) { return static_cast<float>(x); });
}

}  // namespace
}  // namespace gradwire
