#include "gradwire/sparsify.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>

#include "base/executor.hpp"
#include "base/scratch.hpp"
#include "base/splitmix.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {
namespace {

constexpr std::size_t kPart = std::size_t{1} << 18;  // elements that a thread treats at once
constexpr std::size_t kSlack = 8;                    // entries that a kernel may write past the end

std::size_t part_count(std::span<const float> x) {
  if (x.size() > std::uint64_t{1} << 32) {
    throw std::invalid_argument("a sparsifier takes at most 2^32 elements, not " +
                                std::to_string(x.size()));
  }
  return (x.size() + kPart - 1) / kPart;
}

std::span<const float> part_of(std::span<const float> x, std::size_t i) {
  return x.subspan(i * kPart, std::min(kPart, x.size() - i * kPart));
}

std::uint32_t magnitude_bits(float x) { return std::bit_cast<std::uint32_t>(x) & 0x7FFFFFFF; }

/// Replaces a threshold that is not positive by the smallest positive one.
float positive(float threshold) {
  return threshold > 0 ? threshold : std::numeric_limits<float>::denorm_min();
}

/// Keeps the k largest magnitudes of a selection that has more.
void cut_to(Selection& kept, std::size_t k) {
  std::vector<std::uint32_t> bits(kept.values.size());
  std::transform(kept.values.begin(), kept.values.end(), bits.begin(), magnitude_bits);
  if (k == 0) {
    kept = {};
    return;
  }
  const auto nth = bits.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(bits.begin(), nth, bits.end(), std::greater<>());
  const std::uint32_t least = *nth;
  const auto above = std::count_if(bits.begin(), nth, [&](std::uint32_t b) { return b > least; });
  std::size_t equal = k - static_cast<std::size_t>(above);
  std::size_t size = 0;
  for (std::size_t i = 0; i < kept.values.size(); ++i) {
    const std::uint32_t b = magnitude_bits(kept.values[i]);
    if (b < least || (b == least && equal == 0)) continue;
    equal -= b == least;
    kept.indices[size] = kept.indices[i];
    kept.values[size++] = kept.values[i];
  }
  kept.indices.resize(size);
  kept.values.resize(size);
}

}  // namespace

Selection select_above(std::span<const float> x, float threshold, int threads) {
  const std::size_t parts = part_count(x);
  std::vector<Selection> found(parts);
  for_each(parts, usable_threads(threads), [&](std::size_t i) {
    const Scratch room_for_indices((kPart + kSlack) * sizeof(std::uint32_t));
    const Scratch room_for_values((kPart + kSlack) * sizeof(float));
    auto* const indices = room_for_indices.as<std::uint32_t>();
    auto* const values = room_for_values.as<float>();
    const auto part = part_of(x, i);
    const auto size = static_cast<std::ptrdiff_t>(
        kernels().floats.select(part.data(), part.size(), positive(threshold),
                                static_cast<std::uint32_t>(i * kPart), indices, values));
    found[i].indices.assign(indices, indices + size);
    found[i].values.assign(values, values + size);
  });
  std::size_t total = 0;
  for (const Selection& part : found) total += part.indices.size();
  Selection all;
  all.indices.reserve(total);
  all.values.reserve(total);
  for (const Selection& part : found) {
    all.indices.insert(all.indices.end(), part.indices.begin(), part.indices.end());
    all.values.insert(all.values.end(), part.values.begin(), part.values.end());
  }
  return all;
}

std::uint64_t count_above(std::span<const float> x, float threshold, int threads) {
  std::vector<std::uint64_t> found(part_count(x));
  for_each(found.size(), usable_threads(threads), [&](std::size_t i) {
    const auto part = part_of(x, i);
    found[i] = kernels().floats.count_above(part.data(), part.size(), positive(threshold));
  });
  std::uint64_t total = 0;
  for (const std::uint64_t n : found) total += n;
  return total;
}

Selection top_k(std::span<const float> x, std::uint64_t k, int threads) {
  k = std::min<std::uint64_t>(k, x.size());
  std::vector<float> sample = sample_magnitudes(x);
  // This many elements of the sample should be above the threshold. The rank is set higher, so that
  // too few elements of `x` are found only very rarely.
  const double wanted = static_cast<double>(k) /
                        static_cast<double>(std::max<std::size_t>(x.size(), 1)) *
                        static_cast<double>(sample.size());
  for (double rank = 1.02 * wanted + 4 * std::sqrt(wanted) + 4;; rank *= 4) {
    const bool take_all = sample.size() == x.size() || rank >= static_cast<double>(sample.size());
    float threshold = 0;
    if (!take_all) {
      const auto nth = sample.begin() + static_cast<std::ptrdiff_t>(rank);
      std::nth_element(sample.begin(), nth, sample.end(), [](float a, float b) {
        return magnitude_bits(a) > magnitude_bits(b);  // orders NaN too
      });
      threshold = *nth;
    }
    Selection kept = select_above(x, threshold, threads);
    if (kept.indices.size() < k && threshold > 0) continue;
    if (kept.indices.size() > k) cut_to(kept, static_cast<std::size_t>(k));
    return kept;
  }
}

std::vector<std::uint32_t> random_indices(std::uint64_t count, std::uint64_t k,
                                          std::uint64_t stream) {
  if (k > count || count > std::uint64_t{1} << 32) {
    throw std::invalid_argument("cannot choose " + std::to_string(k) + " of " +
                                std::to_string(count) +
                                " elements; at most all elements, of at most 2^32, can be chosen");
  }
  std::vector<std::uint32_t> indices(static_cast<std::size_t>(k));
  // One index is drawn from each of k sections. Their sizes differ by one, so a random shift of all
  // sections makes every element equally likely.
  const std::uint64_t shift = (mix(stream - 1) >> 32) * count >> 32;
  std::size_t unshifted = 0;  // number of indices that do not wrap around at the end
  std::uint64_t begin = 0;
  for (std::uint64_t i = 0; i < k; ++i) {
    const std::uint64_t end = count / k * (i + 1) + count % k * (i + 1) / k;
    const std::uint64_t draw = mix(stream + i) >> 32;
    const std::uint64_t index = begin + (draw * (end - begin) >> 32) + shift;
    unshifted += index < count;
    indices[i] = static_cast<std::uint32_t>(index < count ? index : index - count);
    begin = end;
  }
  std::rotate(indices.begin(), indices.begin() + static_cast<std::ptrdiff_t>(unshifted),
              indices.end());
  return indices;
}

MagnitudeSums magnitude_sums(std::span<const float> x, int threads) {
  std::vector<FloatStats> found(part_count(x));
  for_each(found.size(), usable_threads(threads), [&](std::size_t i) {
    const auto part = part_of(x, i);
    kernels().floats.stats(part.data(), part.size(), &found[i]);
  });
  MagnitudeSums sums;
  std::uint32_t largest = 0;
  for (const FloatStats& part : found) {
    sums.sum += part.sum;
    sums.sum_of_squares += part.sum_of_squares;
    sums.sum_of_magnitudes += part.sum_of_magnitudes;
    largest = std::max(largest, part.largest);
  }
  sums.largest = std::bit_cast<float>(largest);
  return sums;
}

std::vector<float> sample_magnitudes(std::span<const float> x) {
  constexpr std::size_t kGroup = 64;
  constexpr std::size_t kGroups = 4096;
  std::vector<float> sample;
  const bool whole = x.size() <= 2 * kGroup * kGroups;
  const std::size_t groups = whole ? 1 : kGroups;
  const std::size_t size = whole ? x.size() : kGroup;
  sample.reserve(groups * size);
  for (std::size_t i = 0; i < groups; ++i) {
    const auto group = x.subspan(x.size() / groups * i, size);
    for (const float v : group) sample.push_back(std::fabs(v));
  }
  return sample;
}

}  // namespace gradwire
