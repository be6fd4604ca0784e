#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>

#include "base/bit_io.hpp"
#include "base/splitmix.hpp"
#include "codecs/entropy/bins.hpp"
#include "codecs/entropy/cells.hpp"
#include "codecs/entropy/sample.hpp"

namespace gradwire {
namespace {

constexpr std::size_t kMostFitted = kMostBins - 1;  // kSearched marks no symbol
constexpr double kBinBits = 12;                     // estimated size of a bin in the code book
constexpr double kSingleBits = 14;                  // and of a single value, without its place

struct Distance {
  std::int64_t steps;
  std::uint64_t count;
};

bool is_below(const Distance& a, const Distance& b) { return a.steps < b.steps; }

/// The median of the values other than the most frequent one, which may lie far from all others.
std::uint64_t central_key(std::span<const ValueCount> values, std::size_t all) {
  const auto mode =
      std::max_element(values.begin(), values.end(),
                       [](const ValueCount& a, const ValueCount& b) { return a.count < b.count; });
  std::uint64_t before = 0;
  for (const ValueCount& value : values) {
    if (value.key == mode->key) continue;
    before += value.count;
    if (2 * before >= all - mode->count) return value.key;
  }
  return mode->key;
}

std::int64_t signed_distance(std::uint64_t key, std::uint64_t center, DType dtype) {
  const unsigned unused = 64 - bits_of(dtype);
  return static_cast<std::int64_t>((key - center) << unused) >> unused;
}

/// Fits bins to the cells of distances that have no symbol of their own.
class CellBins {
 public:
  /// `distances`: ascending, none above `largest_distance`.
  CellBins(std::span<const Distance> distances, std::uint64_t largest_distance, Sampled sampled)
      : distances_(distances.begin(), distances.end()),
        counts_(kCells),
        share_(sampled.share),
        covers_all_(!sampled.is_whole) {
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
      // Any distance fits into the type of the elements.
      const std::size_t most = distance_cell(static_cast<std::int64_t>(largest_distance)) + 1;
      if (covers_all_) used_[sign] = std::min(used_[sign] + kMore, most);
    }
  }

  std::uint64_t count(std::int64_t distance) const { return counts_[distance_cell(distance)]; }
  /// Takes out values that have symbols of their own.
  void remove(std::span<const Distance> singles) {
    for (const Distance& single : singles) {
      counts_[distance_cell(single.steps)] -= single.count;
      const auto place = std::lower_bound(distances_.begin(), distances_.end(), single, is_below);
      place->count = 0;
    }
  }

  /// At most `most` bins, if that is possible.
  std::vector<Bin> fit(std::size_t most) {
    constexpr double kChance = 4;  // bits that a split seems to save in a sample by chance
    before_.assign(1, 0);
    for (const Distance& distance : distances_) before_.push_back(before_.back() + distance.count);
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
      const std::uint64_t count = counts_[first];
      if (count > 0) return {static_cast<double>(count), fit_inside(lowest(first, width), width)};
      if (covers_all_) push(first, width);
      return {0, bits_of_bin(0, width)};
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

  /// The best bins for the 2^width distances from `low` on, which are part of a cell.
  double fit_inside(std::int64_t low, unsigned width) {
    constexpr double kHole = 2;  // bits that a lack of bins costs where the sample has nothing
    const std::int64_t last = low + static_cast<std::int64_t>((std::uint64_t{1} << width) - 1);
    const auto begin =
        std::lower_bound(distances_.begin(), distances_.end(), Distance{low, 0}, is_below);
    const auto end = std::upper_bound(begin, distances_.end(), Distance{last, 0}, is_below);
    const double count =
        static_cast<double>(before_[static_cast<std::size_t>(end - distances_.begin())] -
                            before_[static_cast<std::size_t>(begin - distances_.begin())]);
    if (count == 0) return covers_all_ ? kHole : 0;
    const double single = bits_of_bin(count, width);
    const std::size_t mark = bins_.size();
    if (count * width > 2 * price_) {
      const std::int64_t middle = low + static_cast<std::int64_t>(std::uint64_t{1} << (width - 1));
      const double both = fit_inside(low, width - 1) + fit_inside(middle, width - 1);
      if (both < single) return both;
    }
    bins_.resize(mark);
    bins_.push_back({low, static_cast<std::uint8_t>(width)});
    return single;
  }

  double bits_of_bin(double count, unsigned width) const {
    if (count == 0) return covers_all_ ? price_ : 0;
    return count * (width + std::log2(all_ / count)) + price_;
  }
  /// The lowest of 2^bits distances that begin with a cell.
  static std::int64_t lowest(std::size_t first_cell, unsigned bits) {
    const std::int64_t nearest = first_in_cell(first_cell);
    const std::int64_t more = static_cast<std::int64_t>((std::uint64_t{1} << bits) - 1);
    return nearest < 0 ? nearest - more : nearest;
  }
  void push(std::size_t first_cell, unsigned bits) {
    bins_.push_back({lowest(first_cell, bits), static_cast<std::uint8_t>(bits)});
  }

  std::vector<Distance> distances_;
  std::vector<std::uint64_t> before_;  // sums of their counts
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
    const double place = kSingleBits + width;  // in the code book
    const double gain = count * (width + alone) - place / share - by_chance;
    if (gain > 0) worthy.push_back({gain, distance});
  }
  std::sort(worthy.begin(), worthy.end(), [](const auto& a, const auto& b) {
    return std::pair(-a.first, a.second.steps) < std::pair(-b.first, b.second.steps);
  });
  worthy.resize(std::min(worthy.size(), most));
  std::vector<Distance> singles;
  for (const auto& [gain, distance] : worthy) singles.push_back(distance);
  std::sort(singles.begin(), singles.end(), is_below);
  return singles;
}

std::uint64_t magnitude(std::int64_t distance) {
  const auto bits = static_cast<std::uint64_t>(distance);
  return distance < 0 ? -bits : bits;
}

/// The largest step of which nearly all distances are multiples.
std::uint64_t common_step(std::span<const Distance> distances, std::size_t all, Sampled sampled) {
  constexpr std::size_t kFewest = 64;  // values that may have a common factor by chance
  constexpr std::size_t kTries = 8;
  constexpr double kNearlyAll = 0.99;
  std::uint64_t step = 0;
  for (const Distance& distance : distances) {
    if (step == 1) break;
    step = std::gcd(step, magnitude(distance.steps));
  }
  if (all < kFewest && !sampled.is_whole) return 1;
  if (step != 1 || distances.size() < kTries) return std::max<std::uint64_t>(1, step);
  // Perhaps only a few distances are no multiples.
  std::uint64_t best = 1;
  for (std::size_t i = 0; i < kTries; ++i) {
    std::uint64_t tried = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      const std::size_t place = mix(kTries * i + k) % distances.size();
      tried = std::gcd(tried, magnitude(distances[place].steps));
    }
    if (tried <= best) continue;
    double multiples = 0;
    for (const Distance& distance : distances) {
      if (magnitude(distance.steps) % tried == 0) multiples += static_cast<double>(distance.count);
    }
    if (multiples >= kNearlyAll * static_cast<double>(all)) best = tried;
  }
  return best;
}

/// Turns distances into steps. Drops those that are no multiples, and returns whether there are
/// any.
bool leave_multiples(std::vector<Distance>& distances, std::uint64_t step) {
  if (step == 1) return false;
  const std::size_t others = std::erase_if(
      distances, [&](const Distance& distance) { return magnitude(distance.steps) % step != 0; });
  for (Distance& distance : distances) {
    const bool is_half = step >> 63 != 0;  // of all numbers of 64 bits
    distance.steps =
        is_half ? distance.steps >> 63 : distance.steps / static_cast<std::int64_t>(step);
  }
  return others > 0;
}

}  // namespace

Bins fit_bins(std::span<const ValueCount> values, DType dtype, Sampled sampled) {
  std::size_t all = 0;
  for (const ValueCount& value : values) all += value.count;
  const std::uint64_t center = central_key(values, all);
  std::vector<Distance> distances;
  for (const ValueCount& value : values) {
    distances.push_back({signed_distance(value.key, center, dtype), value.count});
  }
  Bins bins;
  bins.center = low_bits(from_key(center, dtype), bits_of(dtype));
  bins.step = common_step(distances, all, sampled);
  bins.has_escape = leave_multiples(distances, bins.step) || !sampled.is_whole;
  std::sort(distances.begin(), distances.end(), is_below);  // distances may have wrapped around
  const std::uint64_t largest = low_bits(~std::uint64_t{0}, bits_of(dtype) - 1) / bins.step;
  CellBins cells(distances, largest, sampled);
  constexpr std::size_t kMostSingles = 124;
  const std::vector<Distance> singles =
      worthy_singles(distances, cells, sampled.share, kMostSingles);
  cells.remove(singles);
  for (const Distance& single : singles) bins.singles.push_back(single.steps);
  bins.wide = cells.fit(kMostFitted - bins.singles.size() - bins.has_escape);
  return bins;
}

}  // namespace gradwire
