#include "prefix/value_counts.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <stdexcept>

#include "base/narrow.hpp"
#include "base/splitmix.hpp"
#include "prefix/symbol_map.hpp"

namespace gradwire {
namespace {

constexpr std::size_t kLine = 64;  // elements that are read at each sampled place

/// Counts values that lie in [smallest, smallest + 255], by their lowest byte.
std::vector<ValueCount> count_narrow(const ChunkedArray& array, std::uint64_t smallest) {
  std::mutex mutex;
  std::uint64_t total[256] = {};
  array.for_each_chunk([&](std::size_t, const Elements& chunk) {
    std::uint64_t counts[256] = {};
    for_each_narrow_block(chunk, [&](const std::uint8_t* bytes, std::size_t size) {
      kernels().bytes.histogram(bytes, size, counts);
    });
    const std::lock_guard lock(mutex);
    for (std::size_t i = 0; i < 256; ++i) total[i] += counts[i];
  });
  std::vector<ValueCount> values;
  for (std::uint64_t key = smallest; key - smallest < 256; ++key) {
    const std::uint64_t count = total[from_key(key, array.elements.dtype) & 255];
    if (count != 0) values.push_back({key, count});
  }
  return values;
}

/// Calls count(key, n) for each run of n equal elements.
template <typename Count>
void for_each_key(const Elements& chunk, Count&& count) {
  with_width(chunk.dtype, [&]<typename T>() {
    for_each_run<T>(chunk, [&](std::size_t first, std::uint64_t run) {
      count(to_key(load<T>(chunk, first), chunk.dtype), run);
    });
  });
}

/// Whether a table of counters, one for each key of the range, is no larger than the work deserves.
bool is_worth_a_table(KeyRange range, std::uint64_t elements) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 22;  // entries of 4 bytes
  constexpr std::uint64_t kPerElement = 4;
  if (elements > ~std::uint32_t{0}) return false;  // counters could overflow
  return range.largest - range.smallest < std::min(kMost, kPerElement * elements);
}

/// Counts in a table for each thread. Returns nullopt if there are more than kMaxSymbols values.
std::optional<std::vector<ValueCount>> count_in_tables(const ChunkedArray& array, KeyRange range) {
  const std::size_t span = static_cast<std::size_t>(range.largest - range.smallest) + 1;
  const std::size_t shares = std::min(array.size(), static_cast<std::size_t>(array.threads));
  std::vector<std::vector<std::uint32_t>> tables(shares);
  for_each(shares, array.threads, [&](std::size_t share) {
    std::vector<std::uint32_t> counts(span);
    for (std::size_t i = share; i < array.size(); i += shares) {
      for_each_key(array.chunk(i), [&](std::uint64_t key, std::uint64_t n) {
        // Another thread may have changed the array since its range was found.
        if (key - range.smallest < span)
          counts[key - range.smallest] += static_cast<std::uint32_t>(n);
      });
    }
    tables[share] = std::move(counts);
  });
  std::vector<ValueCount> values;
  for (std::size_t i = 0; i < span; ++i) {
    std::uint64_t count = 0;
    for (const auto& table : tables) count += table[i];
    if (count != 0) values.push_back({range.smallest + i, count});
    if (values.size() > kMaxSymbols) return std::nullopt;
  }
  return values;
}

/// Returns nullopt as soon as there are more than kMaxSymbols values.
std::optional<std::vector<ValueCount>> count_in_map(const ChunkedArray& array) {
  std::mutex mutex;
  SymbolMap total;
  std::atomic<bool> too_many = false;
  array.for_each_chunk([&](std::size_t, const Elements& chunk) {
    if (too_many) return;
    SymbolMap counts;
    for_each_key(chunk, [&](std::uint64_t key, std::uint64_t n) {
      if (counts.size() <= kMaxSymbols) counts[{key, 1}] += n;
    });
    const std::lock_guard lock(mutex);
    if (total.size() == 0) {
      total = std::move(counts);
    } else {
      counts.for_each([&](const Symbol& symbol, std::uint64_t n) {
        if (total.size() <= kMaxSymbols) total[symbol] += n;
      });
    }
    if (total.size() > kMaxSymbols) too_many = true;
  });
  if (too_many) return std::nullopt;
  std::vector<ValueCount> values;
  total.for_each([&](const Symbol& symbol, std::uint64_t n) { values.push_back({symbol.key, n}); });
  std::sort(values.begin(), values.end(),
            [](const ValueCount& a, const ValueCount& b) { return a.key < b.key; });
  return values;
}

}  // namespace

KeyRange key_range(const Elements& elements) {
  std::uint64_t range[2] = {largest_key(elements.dtype), 0};
  kernels().bytes.range(elements.data, elements.count, elements.width(), to_key(0, elements.dtype),
                        range);
  return {range[0], range[1]};
}

KeyRange key_range(const ChunkedArray& array) {
  if (array.elements.width() == 1) return {0, 255};
  std::mutex mutex;
  KeyRange range{~std::uint64_t{0}, 0};
  array.for_each_chunk([&](std::size_t, const Elements& chunk) {
    const KeyRange part = key_range(chunk);
    const std::lock_guard lock(mutex);
    range = {std::min(range.smallest, part.smallest), std::max(range.largest, part.largest)};
  });
  return range;
}

std::optional<std::vector<ValueCount>> count_values(const ChunkedArray& array) {
  const KeyRange range = key_range(array);
  if (range.fits_a_byte()) return count_narrow(array, range.smallest);
  return is_worth_a_table(range, array.elements.count) ? count_in_tables(array, range)
                                                       : count_in_map(array);
}

double Sample::unseen_share() const {
  if (complete) return 0;
  std::uint64_t all = 0;
  std::uint64_t seen_once = 0;
  for (const ValueCount& value : values) {
    all += value.count;
    seen_once += value.count == 1;
  }
  return static_cast<double>(seen_once) / static_cast<double>(all);
}

std::optional<Sample> sample_values(const ChunkedArray& array, const Options& options) {
  const std::uint64_t places = options.sample_size;
  if (places == 0) throw std::invalid_argument("sample_size must be positive, not 0");
  const Elements& all = array.elements;
  const std::uint64_t lines = all.count / kLine;
  if (lines <= places) {
    auto values = count_values(array);
    if (!values) return std::nullopt;
    return Sample{std::move(*values), true};
  }
  const std::size_t line_bytes = kLine * all.width();
  std::vector<std::uint8_t> sample(places * line_bytes);
  for (std::uint64_t i = 0; i < places; ++i) {  // one line in each of `places` equal parts
    const std::uint64_t begin = lines / places * i + std::min(i, lines % places);
    const std::uint64_t size = lines / places + (i < lines % places);
    const std::uint64_t line = begin + mix(options.seed ^ mix(i)) % size;
    std::memcpy(&sample[i * line_bytes], all.data + line * line_bytes, line_bytes);
  }
  const Elements elements{sample.data(), places * kLine, all.dtype};
  auto values = count_values({elements, {0, elements.count}, 1});
  if (!values) return std::nullopt;
  return Sample{std::move(*values), false};
}

}  // namespace gradwire
