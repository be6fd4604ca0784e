// Run-Length Huffman codec: one code word per maximal run (FORMAT.md, section 5.4).

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>
#include <optional>

#include "codecs/codec_table.hpp"
#include "codecs/runs/byte_runs.hpp"
#include "codecs/runs/run_code.hpp"
#include "prefix/code_words.hpp"
#include "prefix/symbol_map.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {
namespace {

constexpr std::size_t kMaxPairs = std::size_t{1} << 15;

struct PairCount {
  Symbol pair;
  std::uint64_t count;
};

/// Runs shorter than this, of values that differ in their lowest byte, are counted in direct tables
/// if the array is large enough to pay off. There are two tables for alternate runs, because in one
/// table a count would have to wait for the one before it.
constexpr std::uint64_t kDirectRuns = 64;
constexpr std::size_t kDirectSize = kDirectRuns * 256;

/// Elements of a wide range are counted in a table by their keys if they are no run and the table
/// is not larger than this, in entries for each element and in all.
constexpr std::uint64_t kSinglesPerElement = 4;
constexpr std::uint64_t kMostSingles = std::uint64_t{1} << 18;

/// Counts (value, run) pairs of one chunk at a time.
class PairCounter {
 public:
  /// `range`: of the keys. `elements`: those of the whole array.
  PairCounter(DType dtype, KeyRange range, std::uint64_t elements) : dtype_(dtype), range_(range) {
    const std::uint64_t last = range.largest - range.smallest;
    if (range.fits_a_byte()) {
      if (elements >= kDirectSize) direct_.resize(2 * kDirectSize);
    } else if (last < std::min(kMostSingles, kSinglesPerElement * elements)) {
      singles_.resize(static_cast<std::size_t>(last) + 1);
    }
  }

  void add(const Elements& chunk) {
    if (direct_.empty()) return add_wide(chunk);
    for_each_byte_run(
        chunk, [&](const ByteRuns& runs) { add_short(runs); },
        [&](std::uint8_t byte, std::uint64_t run) {
          ++(run < kDirectRuns ? direct_[run * 256 + byte] : map_[{whole_key(byte), run}]);
        });
  }

  void add(const PairCounter& other) {
    for (std::size_t i = 0; i < direct_.size(); ++i) direct_[i] += other.direct_[i];
    for (std::size_t i = 0; i < singles_.size(); ++i) singles_[i] += other.singles_[i];
    other.map_.for_each([&](const Symbol& pair, std::uint64_t n) { map_[pair] += n; });
  }

  std::vector<PairCount> pairs() const {
    std::vector<PairCount> all;
    for (std::size_t i = 0; i < direct_.size() / 2; ++i) {
      const std::uint64_t count = direct_[i] + direct_[i + kDirectSize];
      if (count == 0) continue;
      const Symbol pair{whole_key(static_cast<std::uint8_t>(i)), i / 256};
      all.push_back({pair, count});
    }
    for (std::size_t i = 0; i < singles_.size(); ++i) {
      if (singles_[i] != 0) all.push_back({{range_.smallest + i, 1}, singles_[i]});
    }
    map_.for_each([&](const Symbol& pair, std::uint64_t n) { all.push_back({pair, n}); });
    return all;
  }

 private:
  [[gnu::noinline]] void add_wide(const Elements& chunk) {
    with_width(dtype_, [&]<typename T>() {
      for_each_run<T>(chunk, [&](std::size_t first, std::uint64_t run) {
        const std::uint64_t key = to_key(load<T>(chunk, first), dtype_);
        const std::uint64_t place = key - range_.smallest;
        ++(run == 1 && place < singles_.size() ? singles_[place] : map_[{key, run}]);
      });
    });
  }

  void add_short(const ByteRuns& runs) {
    std::uint64_t* here = direct_.data();
    std::uint64_t* there = here + kDirectSize;
    for (std::size_t k = 0; k < runs.count; ++k) {
      if (runs.length[k] < kDirectRuns) {
        ++here[runs.length[k] * 256u + runs.value[k]];
        std::swap(here, there);
      } else {
        ++map_[{whole_key(runs.value[k]), runs.length[k]}];
      }
    }
  }

  std::uint64_t whole_key(std::uint8_t byte) const {
    return range_.smallest + ((to_key(byte, dtype_) - range_.smallest) & 255);
  }

  DType dtype_;
  KeyRange range_;
  std::vector<std::uint64_t> direct_;
  std::vector<std::uint64_t> singles_;
  SymbolMap map_;
};

/// Estimated bits of a pair that is written with the escape.
double escaped_bits(const Symbol& pair, DType dtype) {
  constexpr double kEscape = 6;
  return kEscape + bits_of(dtype) + 2 * static_cast<int>(std::bit_width(pair.run));
}
constexpr double kBookBits = 7;  // estimated bits of a pair in the code book

/// Keeps the pairs that are worth their place in the book, by descending count; returns the number
/// of runs of all others.
std::uint64_t drop_rare(std::vector<PairCount>& pairs, DType dtype) {
  std::uint64_t runs = 0;
  for (const PairCount& p : pairs) runs += p.count;
  const auto is_before = [](const PairCount& a, const PairCount& b) {
    return a.count != b.count ? a.count > b.count : a.pair < b.pair;
  };
  if (pairs.size() > kMaxPairs) {
    std::nth_element(pairs.begin(), pairs.begin() + kMaxPairs, pairs.end(), is_before);
    pairs.resize(kMaxPairs);
  }
  const auto rare = [&](const PairCount& p) {
    const double own = std::log2(static_cast<double>(runs) / static_cast<double>(p.count));
    return static_cast<double>(p.count) * (escaped_bits(p.pair, dtype) - own) < kBookBits;
  };
  std::erase_if(pairs, rare);
  std::sort(pairs.begin(), pairs.end(), is_before);
  std::uint64_t kept = 0;
  for (const PairCount& p : pairs) kept += p.count;
  return runs - kept;
}

/// Keeps only as many pairs as there are tokens, if the others are so rare that this costs hardly
/// any bits; returns the number of runs of the dropped pairs. The pairs must be sorted by count.
std::uint64_t drop_beyond_tokens(std::vector<PairCount>& pairs, bool has_escape, DType dtype) {
  constexpr std::size_t kMost = kMostRunTokens - 1;  // one token is for the escape
  constexpr double kMostLost = 0.005;
  if (pairs.size() + has_escape <= kMostRunTokens) return 0;
  std::uint64_t runs = 0;
  for (const PairCount& p : pairs) runs += p.count;
  double bits = 0;
  double lost = 0;
  std::uint64_t dropped = 0;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const double count = static_cast<double>(pairs[i].count);
    const double own = std::log2(static_cast<double>(runs) / count);
    bits += count * own;
    if (i < kMost) continue;
    lost += count * (escaped_bits(pairs[i].pair, dtype) - own) - kBookBits;
    dropped += pairs[i].count;
  }
  if (lost > kMostLost * bits) return 0;
  pairs.resize(kMost);
  return dropped;
}

std::unique_ptr<Encoder> make_encoder(const ChunkedArray& array, const Options&) {
  const DType dtype = array.elements.dtype;
  const KeyRange range = key_range(array);
  std::mutex mutex;
  std::optional<PairCounter> total;
  array.for_each_chunk([&](std::size_t, const Elements& chunk) {
    PairCounter counter(dtype, range, array.elements.count);
    counter.add(chunk);
    const std::lock_guard lock(mutex);
    if (total) {
      total->add(counter);
    } else {
      total = std::move(counter);
    }
  });
  if (!total) return nullptr;
  std::vector<PairCount> pairs = total->pairs();
  RunModel model;
  model.escape_weight = drop_rare(pairs, dtype);
  model.escape_weight += drop_beyond_tokens(pairs, model.escape_weight > 0, dtype);
  model.expected = model.escape_weight;
  model.range = range;
  if (pairs.empty()) return nullptr;
  std::sort(pairs.begin(), pairs.end(),
            [](const PairCount& a, const PairCount& b) { return a.pair < b.pair; });
  for (const PairCount& p : pairs) {
    model.symbols.push_back(p.pair);
    model.weights.push_back(p.count);
    model.expected += p.count;
  }
  return make_run_encoder(std::move(model), dtype);
}

}  // namespace

const Codec kRunLengthHuffmanCodec = {
    .info = {CodecId::kRunLengthHuffman, "rlh", "RunLengthHuffman"},
    .whole_runs = true,
    .has_pivot_layout = true,
    .make_encoder = make_encoder,
    .make_decoder = make_run_decoder,
    .code_words = code_words_with_runs,
};

}  // namespace gradwire
