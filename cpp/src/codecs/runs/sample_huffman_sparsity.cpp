// Sample Huffman codec with sparsity: like sh, but runs of up to max_run zeros are symbols, with
// the probabilities that independent zeros would give them (FORMAT.md, section 5.4).

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

#include "codecs/codec_table.hpp"
#include "codecs/runs/run_code.hpp"
#include "prefix/code_words.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {
namespace {

constexpr std::uint32_t kLargestMaxRun = 4096;

/// Symbols for a code book, with their expected number per element as a multiple of 1 / kOne.
struct Weights {
  static constexpr double kOne = 1099511627776.0;  // 2^40
  static constexpr double kFloor = kOne / 131072;  // keeps the words of unlikely runs short

  std::vector<Symbol> symbols;
  std::vector<std::uint64_t> weights;

  double per_element() const {
    return static_cast<double>(std::accumulate(weights.begin(), weights.end(), 0ull)) / kOne;
  }

  void add(Symbol symbol, double share) {
    symbols.push_back(symbol);
    weights.push_back(static_cast<std::uint64_t>(std::max(kFloor, share * kOne)));
  }

  /// Adds runs of independent zeros of probability p0. A run is cut into symbols of max_run zeros
  /// and a rest. With p = p0^max_run, there are, per element, (1 - p0)^2 p0^r / (1 - p) rests of r
  /// zeros and (1 - p0) p / (1 - p) symbols of max_run zeros, or 1 / max_run if all elements are 0.
  void add_zero_runs(std::uint64_t zero_key, double p0, std::uint64_t max_run) {
    double p = 1;
    for (std::uint64_t r = 0; r < max_run; ++r) p *= p0;
    const double cuts = p < 1 ? (1 - p0) / (1 - p) : 1 / static_cast<double>(max_run);
    double power = p0;
    for (std::uint64_t r = 1; r < max_run; ++r, power *= p0) {
      add({zero_key, r}, cuts * (1 - p0) * power);
    }
    add({zero_key, max_run}, cuts * p);
  }
};

/// `max_run`, lowered to what pays off in the code book of a small array, to what a code book has
/// room for, and to what one-byte tokens have room for if longer runs are too unlikely to matter.
std::uint64_t useful_run(std::uint64_t max_run, std::uint64_t count, double p0,
                         std::size_t values) {
  constexpr double kUnlikely = Weights::kFloor / Weights::kOne;
  constexpr std::uint64_t kSmall = 2048;
  constexpr std::uint64_t kShare = 24;  // elements per run length
  constexpr std::uint64_t kFewest = 16;
  if (count < kSmall) max_run = std::min(max_run, std::max(kFewest, count / kShare));
  max_run = std::min<std::uint64_t>(max_run, kMaxSymbols + 1 - values);
  if (values + 1 >= kMostRunTokens || p0 == 0 || p0 == 1) return max_run;
  const std::uint64_t room = kMostRunTokens - 1 - values;  // one token is for the escape
  const bool unlikely = static_cast<double>(room) * std::log(p0) < std::log(kUnlikely);
  return unlikely ? std::min(max_run, room) : max_run;
}

/// Numbers of elements of a sample.
struct SampleSize {
  double all = 0;
  double zeros = 0;
};

SampleSize size_of(const Sample& sample, std::uint64_t zero_key) {
  SampleSize size;
  for (const ValueCount& value : sample.values) {
    const auto count = static_cast<double>(value.count);
    size.all += count;
    if (value.key == zero_key) size.zeros = count;
  }
  return size;
}

std::unique_ptr<Encoder> make_encoder(const ChunkedArray& array, const Options& options) {
  if (options.max_run == 0 || options.max_run > kLargestMaxRun) {
    throw std::invalid_argument("max_run must be 1 to " + std::to_string(kLargestMaxRun) +
                                ", not " + std::to_string(options.max_run));
  }
  auto sample = sample_values(array, options);
  if (!sample) return nullptr;
  if (sample->values.size() == 1 && !sample->complete) {
    sample->complete = run_end(array.elements, 0) == array.elements.count;
  }
  const DType dtype = array.elements.dtype;
  const std::uint64_t zero_key = to_key(0, dtype);
  const SampleSize size = size_of(*sample, zero_key);
  RunModel model;
  model.max_run = useful_run(options.max_run, array.elements.count, size.zeros / size.all,
                             sample->values.size());
  Weights book;
  for (const ValueCount& value : sample->values) {
    const double share = static_cast<double>(value.count) / size.all;
    if (value.key == zero_key) {
      book.add_zero_runs(zero_key, share, model.max_run);
    } else {
      book.add({value.key, 1}, share);
    }
  }
  if (!sample->complete) {
    model.escape_weight = static_cast<std::uint64_t>(
        std::max(Weights::kFloor, sample->unseen_share() * Weights::kOne));
  }
  model.expected =
      static_cast<std::uint64_t>(book.per_element() * static_cast<double>(array.elements.count));
  model.symbols = std::move(book.symbols);
  model.weights = std::move(book.weights);
  model.range = key_range(array);
  return make_run_encoder(std::move(model), dtype);
}

}  // namespace

const Codec kSampleHuffmanSparsityCodec = {
    .info = {CodecId::kSampleHuffmanSparsity, "shs", "SampleHuffmanSparsity"},
    .has_pivot_layout = true,
    .make_encoder = make_encoder,
    .make_decoder = make_run_decoder,
    .code_words = code_words_with_runs,
};

}  // namespace gradwire
