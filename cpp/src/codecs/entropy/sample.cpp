#include "codecs/entropy/sample.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/splitmix.hpp"
#include "codecs/entropy/block_model.hpp"

namespace gradwire {
namespace {

constexpr std::uint64_t kGroup = kPreviewed;  // elements that are sampled together
static_assert(kGroup % kBlockSize == 0);
constexpr std::uint64_t kFewestGroups = 32;
constexpr std::uint64_t kMostGroups = 1024;
constexpr std::uint64_t kShare = 24;           // sample one group in this many
constexpr std::uint64_t kMostEnlarged = 4096;  // groups of a sample that was enlarged

constexpr std::uint64_t kNeighbors = 4096;  // elements of a group whose values may be wide
constexpr std::uint64_t kMostElements = std::uint64_t{1} << 22;  // of such a sample, if enlarged

/// Writes the lowest bytes of elements [begin, end). Elements that a source makes are bytes.
void bytes_between(const ChunkedArray& array, std::uint64_t begin, std::uint64_t end,
                   std::uint8_t* out) {
  if (array.source == nullptr) return to_bytes(array.elements.slice(begin, end), 0, out);
  array.source->preview(array.number, begin, end, out);
}

/// A sample is enlarged until this many of its bytes differ from the most frequent one.
std::uint64_t fewest_others(const ByteCounts& histogram) {
  constexpr std::uint64_t kFewest = 256;
  constexpr std::uint64_t kManyBytes = 12;  // different ones
  constexpr std::uint64_t kOfMany = 1500;
  constexpr std::uint64_t kOfEach = 16;
  const auto unused = std::count(histogram.begin(), histogram.end(), std::uint64_t{0});
  const std::uint64_t used = histogram.size() - static_cast<std::uint64_t>(unused);
  return used < kManyBytes ? kFewest : std::max(kOfMany, used * kOfEach);
}

/// The number of the i-th group that is taken: one of each of `taken` equal parts, at a place that
/// looks random, because arrays may be periodic.
std::uint64_t sampled_group(std::uint64_t groups, std::uint64_t taken, std::uint64_t i) {
  const auto begin = [&](std::uint64_t part) {
    return groups / taken * part + groups % taken * part / taken;
  };
  return begin(i) + mix(i) % (begin(i + 1) - begin(i));
}

/// Takes `taken` groups of elements, spread evenly over the array, or the whole array if it has at
/// most twice as many groups. Returns the number of elements.
std::size_t sample_groups(const ChunkedArray& array, std::uint64_t taken, std::uint8_t* bytes) {
  const Elements& all = array.elements;
  const std::uint64_t groups = all.count / kGroup;
  if (2 * taken >= groups) {
    bytes_between(array, 0, all.count, bytes);
    return all.count;
  }
  for (std::uint64_t i = 0; i < taken; ++i) {
    const std::uint64_t begin = sampled_group(groups, taken, i) * kGroup;
    bytes_between(array, begin, begin + kGroup, bytes + i * kGroup);
  }
  return taken * kGroup;
}

/// Sorts `values` by key; `room` is as large. Returns where the result is, one of the two.
/// Radix sort: three times as fast as std::sort on samples.
std::span<ValueCount> sort_by_key(std::span<ValueCount> values, std::span<ValueCount> room) {
  constexpr unsigned kDigitBits = 11;
  constexpr std::uint64_t kDigits = std::uint64_t{1} << kDigitBits;
  const auto below = [](const ValueCount& a, const ValueCount& b) { return a.key < b.key; };
  if (values.size() < kDigits) {
    std::sort(values.begin(), values.end(), below);
    return values;
  }
  const auto [least, most] = std::minmax_element(values.begin(), values.end(), below);
  const std::uint64_t smallest = least->key;
  const std::uint64_t range = most->key - smallest;
  for (unsigned shift = 0; shift < 64 && range >> shift != 0; shift += kDigitBits) {
    const auto digit = [&](const ValueCount& value) {
      return (value.key - smallest) >> shift & (kDigits - 1);
    };
    std::array<std::size_t, kDigits + 1> begin{};
    for (const ValueCount& value : values) ++begin[digit(value) + 1];
    for (std::size_t d = 0; d < kDigits; ++d) begin[d + 1] += begin[d];
    for (const ValueCount& value : values) room[begin[digit(value)]++] = value;
    std::swap(values, room);
  }
  return values;
}

}  // namespace

std::uint64_t most_sampled_bytes(std::uint64_t elements) {
  return std::min(elements, (2 * kMostEnlarged + 1) * kGroup);
}

std::uint64_t most_sampled_elements(std::uint64_t elements) {
  return std::min(elements, kMostElements);
}

std::uint64_t largest(const ByteCounts& counts) {
  std::uint64_t most = 0;
  for (const std::uint64_t count : counts) most = std::max(most, count);
  return most;
}

ByteSample take_bytes(const ChunkedArray& array, const Scratch& room) {
  constexpr std::uint64_t kMost = 4;                          // times as many groups at a time
  constexpr std::uint64_t kSmall = 2 * kMostGroups * kGroup;  // elements that may all be sampled
  const std::uint64_t first =
      std::clamp(array.elements.count / kGroup / kShare, kFewestGroups, kMostGroups);
  for (std::uint64_t taken = first;;) {
    const std::span bytes(room.data(), sample_groups(array, taken, room.data()));
    const ByteCounts histogram = count_bytes(bytes);
    const std::uint64_t others = bytes.size() - largest(histogram);
    const std::uint64_t all = array.elements.count;
    const bool is_constant =
        others == 0 && array.source == nullptr && run_end(array.elements, 0) == all;
    const bool seems_constant = others == 0 && taken > first && all > kSmall;
    const std::uint64_t fewest = fewest_others(histogram);
    if (others >= fewest || is_constant || seems_constant || taken == kMostEnlarged ||
        bytes.size() == all) {
      return {bytes, histogram};
    }
    const std::uint64_t more = 1 + 5 * fewest / (4 * others + 1);  // a quarter more than it seems
    taken = std::min(taken * std::clamp<std::uint64_t>(more, 2, kMost), kMostEnlarged);
  }
}

std::size_t count_runs(const Elements& elements) {
  constexpr std::size_t kWindow = 4096;
  std::uint16_t starts[kWindow + 8];
  const std::size_t width = elements.width();
  std::size_t runs = 0;
  with_width(elements.dtype, [&]<typename T>() {
    for (std::size_t begin = 0; begin < elements.count; begin += kWindow) {
      const std::size_t size = std::min(kWindow, elements.count - begin);
      runs += kernels().bytes.run_starts(elements.data + begin * width, size, width, starts);
      runs -= begin > 0 && load<T>(elements, begin) == load<T>(elements, begin - 1);
    }
  });
  return runs;
}

std::vector<ValueCount> count_sample(const Elements& sample, std::size_t run_count) {
  const Scratch first(run_count * sizeof(ValueCount));
  const Scratch second(run_count * sizeof(ValueCount));
  auto* const runs = first.as<ValueCount>();
  std::size_t found = 0;
  with_width(sample.dtype, [&]<typename T>() {
    for_each_run<T>(sample, [&](std::size_t begin, std::size_t length) {
      runs[found++] = {to_key(load<T>(sample, begin), sample.dtype), length};
    });
  });
  std::vector<ValueCount> values;
  for (const ValueCount& run : sort_by_key({runs, found}, {second.as<ValueCount>(), found})) {
    if (values.empty() || values.back().key != run.key) values.push_back({run.key, 0});
    values.back().count += run.count;
  }
  return values;
}

Elements take_elements(const ChunkedArray& array, const Scratch& room) {
  constexpr std::uint64_t kFirstGroups = 24;
  constexpr std::uint64_t kMore = 4;
  constexpr std::size_t kFewestRuns = 4096;
  const Elements& all = array.elements;
  const std::uint64_t groups = all.count / kNeighbors;
  const std::size_t width = all.width();
  for (std::uint64_t taken = kFirstGroups;; taken *= kMore) {
    if (2 * taken >= groups) return all;
    for (std::uint64_t i = 0; i < taken; ++i) {
      const std::uint64_t begin = sampled_group(groups, taken, i) * kNeighbors;
      std::memcpy(room.data() + i * kNeighbors * width, all.data + begin * width,
                  kNeighbors * width);
    }
    const Elements sample{room.data(), taken * kNeighbors, all.dtype};
    const std::size_t runs = count_runs(sample);
    const bool seems_constant = runs == 1 && taken > kFirstGroups && all.count > kMostElements / 2;
    if (runs > kFewestRuns || seems_constant || kMore * sample.count > kMostElements) return sample;
  }
}

}  // namespace gradwire
