#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gradwire {

/// Allowances: the fraction by which the bits of a code may grow if that limits its words to 12,
/// 14, 16 or 19 bits, because long words are slow to code. Finding a limited code takes longer.
inline constexpr double kOptimalCode = 0;
inline constexpr double kSmallCode = 0.0008;
inline constexpr double kFastCode = 0.005;

/// Lengths of a nearly optimal prefix code, none above kMaxCodeLength, for symbols of these
/// weights. A weight of 0 counts as 1, so that every symbol gets a code word. A single symbol gets
/// length 0.
std::vector<std::uint8_t> code_lengths(std::span<const std::uint64_t> weights, double allowance);

}  // namespace gradwire
