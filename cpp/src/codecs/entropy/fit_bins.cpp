#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

#include "base/bit_io.hpp"
#include "codecs/entropy/bins.hpp"
#include "codecs/entropy/cells.hpp"
#include "codecs/entropy/sample.hpp"

namespace gradwire {
namespace {

constexpr std::size_t kMostFitted = kMostBins - 1;  // kSearched marks no symbol
constexpr double kBinBits = 12;                     // estimated size of a bin in the code book
constexpr double kSingleBits = 24;                  // and of a single value

struct Distance {
  std::int64_t steps;
  std::uint64_t count;
};

/// The most frequent value, or the median if none is frequent.
std::uint64_t central_key(std::span<const ValueCount> values, std::size_t all) {
  constexpr std::uint64_t kFrequent = 128;  // in this many elements, and in a chance number more
  const auto mode =
      std::max_element(values.begin(), values.end(),
                       [](const ValueCount& a, const ValueCount& b) { return a.count < b.count; });
  if (mode->count > 4 + all / kFrequent) return mode->key;
  std::uint64_t before = 0;
  auto median = values.begin();
  while (before + median->count <= all / 2) before += (median++)->count;
  return median->key;
}

std::int64_t signed_distance(std::uint64_t key, std::uint64_t center, DType dtype) {
  const unsigned unused = 64 - bits_of(dtype);
  return static_cast<std::int64_t>((key - center) << unused) >> unused;
}

/// Fits bins to the cells of distances that have no symbol of their own.
class CellBins {
 public:
  CellBins(std::span<const Distance> distances, Sampled sampled)
      : counts_(kCells), share_(sampled.share), covers_all_(!sampled.is_whole) {
    for (const Distance& distance : distances) {
      counts_[distance_cell(distance.steps)] += distance.count;
      all_ += static_cast<double>(distance.count);
    }
    constexpr std::size_t kMore = std::size_t{2} << kCellBits;  // two octaves
    const auto is_used = [](std::uint64_t count) { return count != 0; };
    for (std::size_t sign = 0; sign < 2; ++sign) {
      const auto begin = counts_.begin() + static_cast<std::ptrdiff_t>(sign * kCellsOfSign);
      const auto end = begin + static_cast<std::ptrdiff_t>(kCellsOfSign);
      const auto last =
          std::find_if(std::make_reverse_iterator(end), std::make_reverse_iterator(begin), is_used);
      used_[sign] = static_cast<std::size_t>(last.base() - begin);
      if (covers_all_) used_[sign] = std::min(used_[sign] + kMore, kCellsOfSign - kMore);
    }
  }

  std::uint64_t count(std::int64_t distance) const { return counts_[distance_cell(distance)]; }
  void remove(const Distance& single) { counts_[distance_cell(single.steps)] -= single.count; }

  /// At most `most` bins, if that is possible.
  std::vector<Bin> fit(std::size_t most) {
    constexpr double kChance = 4;  // bits that a split seems to save in a sample by chance
    for (double price = kBinBits / share_ + kChance;; price *= 2) {
      price_ = price;
      bins_.clear();
      for (std::size_t sign = 0; sign < 2; ++sign) fit_sign(sign * kCellsOfSign, used_[sign]);
      if (bins_.size() <= most || price > 1e15) break;
    }
    std::sort(bins_.begin(), bins_.end(),
              [](const Bin& a, const Bin& b) { return a.offset < b.offset; });
    return bins_;
  }

 private:
  /// All distances of a sign below the end of the first `used` cells. The distances below a power
  /// of two are a single bin, or those below the power before, and the octave between.
  void fit_sign(std::size_t begin, std::size_t used) {
    constexpr std::size_t kOctave = std::size_t{1} << kCellBits;
    double bits = 0;
    double count = 0;
    for (std::size_t octave = 0; octave * kOctave < used; ++octave) {
      const std::size_t first = begin + octave * kOctave;
      const unsigned below = kCellBits + static_cast<unsigned>(octave);  // log2 of the power
      const Tree tree = fit_tree(first, kOctave, kCellBits + cell_bits(first));
      bits += tree.bits;
      count += tree.count;
      const double single = bits_of_bin(count, below);
      if (octave > 0 && single <= bits && below < 63) {
        const std::int64_t nearest = first_in_cell(begin);
        std::erase_if(bins_, [&](const Bin& bin) { return (bin.offset < 0) == (nearest < 0); });
        if (count > 0 || covers_all_) push(begin, below);
        bits = single;
      }
    }
  }

  struct Tree {
    double count;
    double bits;
  };
  /// The best bins for `size` cells, which have 2^width distances together.
  Tree fit_tree(std::size_t first, std::size_t size, unsigned width) {
    if (size == 1) {
      const double count = static_cast<double>(counts_[first]);
      if (count > 0 || covers_all_) push(first, width);
      return {count, bits_of_bin(count, width)};
    }
    const std::size_t mark = bins_.size();
    const Tree near = fit_tree(first, size / 2, width - 1);
    const Tree far = fit_tree(first + size / 2, size / 2, width - 1);
    const Tree both{near.count + far.count, near.bits + far.bits};
    const double single = bits_of_bin(both.count, width);
    if ((both.count == 0 && !covers_all_) || single > both.bits) return both;
    bins_.resize(mark);
    push(first, width);
    return {both.count, single};
  }

  double bits_of_bin(double count, unsigned width) const {
    if (count == 0) return covers_all_ ? price_ : 0;
    return count * (width + std::log2(all_ / count)) + price_;
  }
  void push(std::size_t first_cell, unsigned bits) {
    const std::int64_t nearest = first_in_cell(first_cell);
    const std::int64_t size = std::int64_t{1} << bits;
    bins_.push_back(
        {nearest < 0 ? nearest - (size - 1) : nearest, static_cast<std::uint8_t>(bits)});
  }

  std::vector<std::uint64_t> counts_;
  double share_;
  /// Whether there are bins for all distances up to somewhat more than the largest one of the
  /// sample: others may have distances that the sample lacks, and an escape takes more bits.
  bool covers_all_;
  double all_ = 0;
  double price_ = 0;
  std::size_t used_[2];
  std::vector<Bin> bins_;
};

/// The values for which a symbol of their own pays, at most `most`.
std::vector<Distance> worthy_singles(std::span<const Distance> distances, const CellBins& cells,
                                     double share, std::size_t most) {
  constexpr double kChance = 6;  // four standard deviations, in bits
  std::vector<std::pair<double, Distance>> worthy;
  for (const Distance& distance : distances) {
    const unsigned width = cell_bits(distance_cell(distance.steps));
    if (width == 0 || distance.count < 2) continue;
    const double count = static_cast<double>(distance.count);
    const double alone = std::log2(count / static_cast<double>(cells.count(distance.steps)));
    const double by_chance = kChance * std::sqrt(count);
    const double gain = count * (width + alone) - kSingleBits / share - by_chance;
    if (gain > 0) worthy.push_back({gain, distance});
  }
  std::sort(worthy.begin(), worthy.end(), [](const auto& a, const auto& b) {
    return std::pair(-a.first, a.second.steps) < std::pair(-b.first, b.second.steps);
  });
  worthy.resize(std::min(worthy.size(), most));
  std::vector<Distance> singles;
  for (const auto& [gain, distance] : worthy) singles.push_back(distance);
  std::sort(singles.begin(), singles.end(),
            [](const Distance& a, const Distance& b) { return a.steps < b.steps; });
  return singles;
}

}  // namespace

Bins fit_bins(std::span<const ValueCount> values, DType dtype, Sampled sampled) {
  std::size_t all = 0;
  for (const ValueCount& value : values) all += value.count;
  const std::uint64_t center = central_key(values, all);
  constexpr std::size_t kFewest = 64;  // values that may have a common factor by chance
  std::vector<Distance> distances;
  std::uint64_t step = 0;
  for (const ValueCount& value : values) {
    distances.push_back({signed_distance(value.key, center, dtype), value.count});
    if (step == 1 || (all < kFewest && !sampled.is_whole)) continue;
    const std::int64_t distance = distances.back().steps;
    step = std::gcd(step, distance < 0 ? -static_cast<std::uint64_t>(distance)
                                       : static_cast<std::uint64_t>(distance));
  }
  step = std::max<std::uint64_t>(1, step);
  for (Distance& distance : distances) {
    const bool is_half = step >> 63 != 0;  // of all numbers of 64 bits
    distance.steps =
        is_half ? distance.steps >> 63 : distance.steps / static_cast<std::int64_t>(step);
  }
  Bins bins;
  bins.center = low_bits(from_key(center, dtype), bits_of(dtype));
  bins.step = step;
  bins.has_escape = !sampled.is_whole;
  CellBins cells(distances, sampled);
  constexpr std::size_t kMostSingles = 124;
  const std::vector<Distance> singles =
      worthy_singles(distances, cells, sampled.share, kMostSingles);
  for (const Distance& single : singles) {
    cells.remove(single);
    bins.singles.push_back(single.steps);
  }
  bins.wide = cells.fit(kMostFitted - bins.singles.size() - bins.has_escape);
  return bins;
}

}  // namespace gradwire
