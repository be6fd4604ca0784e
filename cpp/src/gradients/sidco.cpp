// Thresholds from fitted distributions: A. M. Abdelmoniem et al., "An Efficient Statistical-based
// Gradient Compression Technique for Distributed Training Systems" (SIDCo), MLSys 2021, section 2.

#include <algorithm>
#include <cmath>
#include <functional>

#include "gradwire/sparsify.hpp"

namespace gradwire {
namespace {

constexpr double kFirstRatio = 0.25;  // share of elements that every stage but the last keeps

struct Moments {
  double mean = 0;
  double variance = 0;
};

Moments moments_of(std::span<const float> x) {
  double sum = 0;
  double squares = 0;
  for (const float v : x) {
    sum += v;
    squares += static_cast<double>(v) * v;
  }
  const auto count = static_cast<double>(x.size());
  const double mean = sum / count;
  return {mean, std::max(squares / count - mean * mean, 0.0)};
}

double exponential(std::span<const float> x, double ratio) {
  return -moments_of(x).mean * std::log(ratio);
}

/// The generalized Pareto distribution, fitted by its moments.
double pareto(std::span<const float> x, double ratio) {
  const auto [mean, variance] = moments_of(x);
  constexpr double kNearlyExponential = 1e-4;
  if (variance == 0) return mean;
  const double square = mean * mean / variance;
  const double shape = (square - 1) / 2;
  const double scale = mean * (square + 1) / 2;
  if (std::fabs(shape) < kNearlyExponential) return -scale * std::log(ratio);
  return scale * (1 - std::pow(ratio, shape)) / shape;
}

/// The gamma distribution, with its shape from a closed-form approximation of the maximum
/// likelihood. All magnitudes must be above 0.
double gamma(std::span<const float> x, double ratio) {
  // One logarithm of a product is cheaper than the sum of the logarithms of its factors.
  constexpr std::size_t kFactors = 4;
  double logarithms = 0;
  for (std::size_t i = 0; i < x.size(); i += kFactors) {
    double product = 1;
    for (std::size_t k = i; k < std::min(i + kFactors, x.size()); ++k) product *= x[k];
    logarithms += std::log(product);
  }
  const double mean = moments_of(x).mean;
  const double s = std::log(mean) - logarithms / static_cast<double>(x.size());
  if (!(s > 0)) return mean;
  const double shape = (3 - s + std::sqrt((s - 3) * (s - 3) + 24 * s)) / (12 * s);
  const double threshold = -mean / shape * (std::log(ratio) + std::lgamma(shape));
  return threshold > 0 ? threshold : pareto(x, ratio);  // the formula holds only in the tail
}

double threshold_of(std::span<const float> x, double ratio, TailFit fit, bool is_first) {
  if (fit == TailFit::kExponential) return exponential(x, ratio);
  if (fit == TailFit::kGammaPareto && is_first) return gamma(x, ratio);
  return pareto(x, ratio);
}

}  // namespace

SidcoThreshold sidco_threshold(std::span<const float> x, double density, TailFit fit, int stages) {
  std::vector<float> tail = sample_magnitudes(x);
  const double wanted = density * static_cast<double>(tail.size());
  std::erase(tail, 0.0f);
  double threshold = 0;
  int stage = 0;
  while (!tail.empty()) {
    const double ratio = wanted / static_cast<double>(tail.size());
    if (ratio >= 1) break;
    ++stage;
    const bool is_last = stage >= stages || ratio >= kFirstRatio;
    const double step = threshold_of(tail, is_last ? ratio : kFirstRatio, fit, stage == 1);
    const auto least = static_cast<float>(step);
    const auto above = std::ranges::count_if(tail, [=](float v) { return v >= least; });
    if (!is_last && static_cast<double>(above) < wanted) {
      // The fitted threshold is too high: take the one that the sample itself gives.
      const auto nth = tail.begin() + static_cast<std::ptrdiff_t>(wanted);
      std::nth_element(tail.begin(), nth, tail.end(), std::greater<>());
      threshold += static_cast<double>(*nth);
      break;
    }
    threshold += step;
    if (is_last) break;
    std::erase_if(tail, [=](float v) { return v < least; });
    for (float& v : tail) v -= least;
  }
  return {static_cast<float>(threshold), stage};
}

}  // namespace gradwire
