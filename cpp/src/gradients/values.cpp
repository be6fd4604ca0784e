// Rounds the values of sparse gradients to a smaller type; there is no other loss.

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "gradients/parts.hpp"

namespace gradwire {
namespace {

/// Rounds to nearest, ties to even. Finite values stay finite: those that would round to infinity
/// become the largest number.
std::uint16_t to_bfloat16(float x) {
  constexpr std::uint32_t kLargest = 0x7F7F;
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = bits >> 16 & 0x8000;
  const std::uint32_t magnitude = bits & 0x7FFFFFFF;
  const std::uint32_t rounded = (magnitude + 0x7FFF + (magnitude >> 16 & 1)) >> 16;
  return static_cast<std::uint16_t>(sign | std::min(rounded, kLargest));
}

std::uint16_t to_float16(float x) {
  constexpr std::uint32_t kLargest = 0x7BFF;
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = bits >> 16 & 0x8000;
  // Adding 2^(exponent + 13) rounds off the bits that float16 does not have. Below 2^-14, its
  // lowest bit is always 2^-24.
  const float magnitude = std::bit_cast<float>(bits & 0x7FFFFFFF);
  const std::uint32_t exponent = std::max<std::uint32_t>(bits >> 23 & 255, 113);
  if (exponent > 142) return static_cast<std::uint16_t>(sign | kLargest);
  const float shift = std::bit_cast<float>((exponent + 13) << 23);
  const float sum = magnitude + shift;
  const std::uint32_t digits = std::bit_cast<std::uint32_t>(sum) - ((exponent + 13) << 23);
  return static_cast<std::uint16_t>(sign | std::min(((exponent - 113) << 10) + digits, kLargest));
}

}  // namespace

std::size_t compress_values(const GradientView& values, FloatType type, const Options& options,
                            std::span<std::uint8_t> out) {
  if (type == FloatType::kFloat32) return compress_planes(values, options, out);
  if (type == FloatType::kFloat64) {
    throw std::invalid_argument("values must be sent as float32, float16 or bfloat16, not float64");
  }
  const auto* const x = static_cast<const float*>(values.data);
  std::vector<std::uint16_t> rounded(static_cast<std::size_t>(values.shape[0]));
  const auto convert = type == FloatType::kFloat16 ? to_float16 : to_bfloat16;
  std::transform(x, x + rounded.size(), rounded.begin(), convert);
  return compress_planes({rounded.data(), type, values.shape}, options, out);
}

}  // namespace gradwire
