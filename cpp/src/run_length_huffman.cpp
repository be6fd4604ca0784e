// Run-Length Huffman codec: one code word per maximal run (FORMAT.md, section 5.4).

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>

#include "codec_table.hpp"
#include "run_code.hpp"
#include "value_counts.hpp"

namespace gradwire {
namespace {

constexpr std::size_t kMaxPairs = std::size_t{1} << 15;

struct PairCount {
  Symbol pair;
  std::uint64_t count;
};

/// Short runs of values that are told apart by their lowest byte are counted here directly, in
/// arrays that repay it.
constexpr std::uint64_t kDirectRuns = 64;
constexpr std::size_t direct_index(std::uint64_t bits, std::uint64_t run) {
  return (bits & 255) * kDirectRuns + run;
}
constexpr std::size_t kDirectSize = 256 * kDirectRuns;

/// Counts (value, run) pairs of one chunk at a time.
class PairCounter {
 public:
  PairCounter(DType dtype, bool direct) : dtype_(dtype), direct_(direct ? kDirectSize : 0) {}

  void add(const Elements& chunk) {
    with_width(dtype_, [&]<typename T>() {
      for_each_run<T>(chunk, [&](std::size_t first, std::uint64_t run) {
        const T bits = load<T>(chunk, first);
        if (!direct_.empty() && run < kDirectRuns) {
          ++direct_[direct_index(bits, run)];
        } else {
          ++map_[{to_key(bits, dtype_), run}];
        }
      });
    });
  }

  void add(const PairCounter& other) {
    for (std::size_t i = 0; i < direct_.size(); ++i) direct_[i] += other.direct_[i];
    other.map_.for_each([&](const Symbol& pair, std::uint64_t n) { map_[pair] += n; });
  }

  /// All pairs. `smallest`: the smallest key, which the direct places need to find the others.
  std::vector<PairCount> pairs(std::uint64_t smallest) const {
    std::vector<PairCount> all;
    for (std::size_t i = 0; i < direct_.size(); ++i) {
      if (direct_[i] == 0) continue;
      const std::uint64_t low = to_key(i / kDirectRuns, dtype_) & 255;
      const std::uint64_t key = smallest + ((low - smallest) & 255);
      all.push_back({{key, i % kDirectRuns}, direct_[i]});
    }
    map_.for_each([&](const Symbol& pair, std::uint64_t n) { all.push_back({pair, n}); });
    return all;
  }

 private:
  DType dtype_;
  std::vector<std::uint64_t> direct_;
  SymbolMap map_;
};

/// About how many bits a pair takes behind the escape, and in the book.
double escaped_bits(const Symbol& pair, DType dtype) {
  constexpr double kEscape = 6;
  return kEscape + bits_of(dtype) + 2 * static_cast<int>(std::bit_width(pair.run));
}
constexpr double kBookBits = 7;

/// Keeps the pairs that are worth their place in the book; returns how many runs the others have.
std::uint64_t drop_rare(std::vector<PairCount>& pairs, DType dtype) {
  std::uint64_t runs = 0;
  for (const PairCount& p : pairs) runs += p.count;
  std::sort(pairs.begin(), pairs.end(), [](const PairCount& a, const PairCount& b) {
    return a.count != b.count ? a.count > b.count : a.pair < b.pair;
  });
  const auto rare = [&](const PairCount& p) {
    const double own = std::log2(static_cast<double>(runs) / static_cast<double>(p.count));
    return static_cast<double>(p.count) * (escaped_bits(p.pair, dtype) - own) < kBookBits;
  };
  if (pairs.size() > kMaxPairs) pairs.resize(kMaxPairs);
  std::erase_if(pairs, rare);
  std::uint64_t kept = 0;
  for (const PairCount& p : pairs) kept += p.count;
  return runs - kept;
}

class RunLengthHuffmanEncoder final : public Encoder {
 public:
  explicit RunLengthHuffmanEncoder(PairWriter pairs) : pairs_(std::move(pairs)) {}

  std::span<const std::uint8_t> code_book() const override { return pairs_.code_book(); }

  EncodedChunk encode(const Elements& chunk, std::span<std::uint8_t> out) const override {
    return with_width(chunk.dtype, [&]<typename T>() -> EncodedChunk {
      BitWriter writer(out);  // here, so that it can stay in registers
      for_each_run<T>(chunk, [&](std::size_t first, std::uint64_t run) {
        pairs_.write<T>(writer, load<T>(chunk, first), run);
      });
      const std::size_t size = writer.finish();
      return {writer.ok() ? std::optional(size) : std::nullopt, writer.bit_count()};
    });
  }

 private:
  PairWriter pairs_;
};

std::unique_ptr<Encoder> make_encoder(const ChunkedArray& array, const Options&) {
  const DType dtype = array.elements.dtype;
  const KeyRange range = key_range(array);
  const bool narrow = range.fits_a_byte();
  const bool direct = narrow && array.elements.count >= kDirectSize;
  std::mutex mutex;
  PairCounter total(dtype, direct);
  array.for_each_chunk([&](std::size_t, const Elements& chunk) {
    PairCounter counter(dtype, direct);
    counter.add(chunk);
    const std::lock_guard lock(mutex);
    total.add(counter);
  });
  std::vector<PairCount> pairs = total.pairs(range.smallest);
  const std::uint64_t escaped = drop_rare(pairs, dtype);
  if (pairs.empty()) return nullptr;
  std::sort(pairs.begin(), pairs.end(),
            [](const PairCount& a, const PairCount& b) { return a.pair < b.pair; });
  std::vector<Symbol> symbols;
  std::vector<std::uint64_t> weights;
  for (const PairCount& p : pairs) {
    symbols.push_back(p.pair);
    weights.push_back(p.count);
  }
  return std::make_unique<RunLengthHuffmanEncoder>(
      PairWriter(std::move(symbols), std::move(weights), escaped, dtype, narrow));
}

}  // namespace

const Codec kRunLengthHuffmanCodec = {
    {CodecId::kRunLengthHuffman, "rlh", "RunLengthHuffman"},
    true,
    false,
    false,
    make_encoder,
    make_pair_decoder,
};

}  // namespace gradwire
