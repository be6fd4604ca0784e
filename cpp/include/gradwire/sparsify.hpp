#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gradwire {

// Which elements of a float32 gradient to keep. Results do not depend on the number of threads.

/// Elements by ascending index.
struct Selection {
  std::vector<std::uint32_t> indices;
  std::vector<float> values;
};

/// The elements whose magnitude is at least `threshold`, zeros left out. NaN counts as largest.
/// At most 2^32 elements, otherwise std::invalid_argument; the same holds for all others.
Selection select_above(std::span<const float> x, float threshold, int threads = 0);
std::uint64_t count_above(std::span<const float> x, float threshold, int threads = 0);

/// The k elements of the largest magnitudes; of equal ones, those of the lowest indices. Fewer, if
/// fewer are not 0.
Selection top_k(std::span<const float> x, std::uint64_t k, int threads = 0);

/// One index out of each of k parts of nearly equal size, which begin at a random place, chosen at
/// random: ascending, each element as likely as any other. k <= count <= 2^32.
std::vector<std::uint32_t> random_indices(std::uint64_t count, std::uint64_t k,
                                          std::uint64_t stream);

/// Sums over all elements.
struct MagnitudeSums {
  double sum = 0;  ///< of the elements, with their signs
  double sum_of_squares = 0;
  double sum_of_magnitudes = 0;
  float largest = 0;  ///< magnitude; NaN if an element is
};
MagnitudeSums magnitude_sums(std::span<const float> x, int threads = 0);

/// Magnitudes of some 2^18 elements, in groups evenly over the gradient, or of all if there are
/// fewer; zeros included.
std::vector<float> sample_magnitudes(std::span<const float> x);

/// What magnitudes are taken to be distributed like (SIDCo, MLSys 2021).
enum class TailFit : std::uint8_t { kExponential, kGammaPareto, kPareto };

/// A threshold that a share of about `density` of the elements reach: fitted to a sample, in up to
/// `stages` steps, each to what exceeds the threshold of the step before.
struct SidcoThreshold {
  float value;
  int stages;  ///< so many were of use
};
SidcoThreshold sidco_threshold(std::span<const float> x, double density, TailFit fit, int stages);

}  // namespace gradwire
