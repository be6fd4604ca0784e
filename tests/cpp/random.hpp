#pragma once

#include <cstdint>
#include <random>
#include <vector>

/// Bytes whose frequencies fall by `factor` from one to the next.
inline std::vector<std::uint8_t> skewed_bytes(std::size_t count, double factor, unsigned seed,
                                              unsigned alphabet = 256) {
  std::vector<double> weights(alphabet, 1.0);
  for (unsigned i = 1; i < alphabet; ++i) weights[i] = weights[i - 1] * factor + 1e-7;
  std::mt19937 engine(seed);
  std::discrete_distribution<int> draw(weights.begin(), weights.end());
  std::vector<std::uint8_t> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(draw(engine) * 37);
  return bytes;
}
