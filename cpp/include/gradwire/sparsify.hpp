#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gradwire {

// Functions that choose which elements of a float32 gradient to keep. Results do not depend on the
// number of threads.

/// Selected elements, by ascending index.
struct Selection {
  std::vector<std::uint32_t> indices;
  std::vector<float> values;
};

/// The elements whose magnitude is at least `threshold`, without zeros. NaN counts as the largest.
/// Throws std::invalid_argument for more than 2^32 elements, as do count_above, top_k,
/// random_indices and magnitude_sums.
Selection select_above(std::span<const float> x, float threshold, int threads = 0);
std::uint64_t count_above(std::span<const float> x, float threshold, int threads = 0);

/// The k elements with the largest magnitudes; ties go to the lowest indices. Returns fewer if
/// fewer than k elements are not 0.
Selection top_k(std::span<const float> x, std::uint64_t k, int threads = 0);

/// Draws k indices at random, in ascending order: one from each of k parts of nearly equal size,
/// the first of which begins at a random place. Every element is equally likely. Needs k <= count
/// <= 2^32.
std::vector<std::uint32_t> random_indices(std::uint64_t count, std::uint64_t k,
                                          std::uint64_t stream);

/// Sums over all elements.
struct MagnitudeSums {
  double sum = 0;  ///< of the signed elements
  double sum_of_squares = 0;
  double sum_of_magnitudes = 0;
  float largest = 0;  ///< largest magnitude; NaN if any element is NaN
};
MagnitudeSums magnitude_sums(std::span<const float> x, int threads = 0);

/// Magnitudes of 2^18 elements, in groups spread evenly over the gradient, or of all elements if
/// there are at most 2^19. Zeros are included.
std::vector<float> sample_magnitudes(std::span<const float> x);

/// The distribution that magnitudes are assumed to follow (SIDCo, MLSys 2021).
enum class TailFit : std::uint8_t { kExponential, kGammaPareto, kPareto };

/// A threshold that about the fraction `density` of the elements reaches. It is fitted to a sample
/// in up to `stages` stages; each stage fits what exceeds the threshold of the stage before.
struct SidcoThreshold {
  float value;
  int stages;  ///< number of stages used
};
SidcoThreshold sidco_threshold(std::span<const float> x, double density, TailFit fit, int stages);

}  // namespace gradwire
