#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gradwire {

/// Allowances: by how much of its bits a code may grow if that limits its words to 12, 14, 16 or 19
/// bits: long ones code slowly. Finding such a code takes longer.
inline constexpr double kOptimalCode = 0;
inline constexpr double kSmallCode = 0.0008;
inline constexpr double kFastCode = 0.005;

/// Lengths of a nearly optimal prefix code, none above kMaxCodeLength, for symbols of these
/// weights. A weight of 0 counts as 1: every symbol gets a code word. One symbol alone gets length
/// 0.
std::vector<std::uint8_t> code_lengths(std::span<const std::uint64_t> weights, double allowance);

}  // namespace gradwire
