#include "codecs/entropy/fit_codec.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "codecs/codec_table.hpp"
#include "prefix/code_lengths.hpp"
#include "prefix/symbol_map.hpp"

namespace gradwire {
namespace {

/// What coding each symbol with its own code word takes.
struct Estimate {
  double bits = std::numeric_limits<double>::infinity();  // of the whole array
};

/// `of_symbol`: bits of a symbol in the code book. Symbols that occur once in a sample stand for
/// others that it lacks.
Estimate estimate(std::span<const std::uint64_t> counts, double of_symbol, double share) {
  constexpr std::uint64_t kFewest = 4;  // times that a symbol must occur on average
  constexpr double kMostNew = 2;        // unseen symbols for each symbol that was seen once
  const std::uint64_t all = std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
  if (kFewest * counts.size() > all) return {};
  const auto once = std::count(counts.begin(), counts.end(), std::uint64_t{1});
  const double symbols = static_cast<double>(counts.size()) +
                         static_cast<double>(once) * std::min(share - 1, kMostNew);
  if (symbols > static_cast<double>(kMaxSymbols)) return {};
  const std::vector<std::uint8_t> lengths = code_lengths(counts, kOptimalCode);
  double bits = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    bits += static_cast<double>(counts[i]) * lengths[i];
  }
  return {bits * share + symbols * of_symbol};
}

Estimate of_values(const Elements& sample, double share) {
  constexpr double kLengthBits = 6;  // of a code word's length, and more than the digits of a gap
  const std::vector<ValueCount> values = count_sample(sample, count_runs(sample));
  std::vector<std::uint64_t> counts;
  for (const ValueCount& value : values) counts.push_back(value.count);
  const double range = static_cast<double>(values.back().key - values.front().key) + 1;
  // The gaps between keys are Elias-omega numbers.
  const double digits = std::max(0.0, std::log2(range / static_cast<double>(values.size())));
  return estimate(counts, kLengthBits + digits + 2 * std::log2(1 + digits), share);
}

Estimate of_runs(const Elements& sample, double share) {
  constexpr std::size_t kMost = 16384;  // runs that tell enough
  constexpr double kSymbolBits = 12;
  SymbolMap pairs;
  std::size_t found = 0;
  with_width(sample.dtype, [&]<typename T>() {
    for_each_run<T>(sample, [&](std::size_t first, std::size_t length) {
      if (found++ < kMost) ++pairs[{to_key(load<T>(sample, first), sample.dtype), length}];
    });
  });
  std::vector<std::uint64_t> counts;
  pairs.for_each([&](const Symbol&, std::uint64_t count) { counts.push_back(count); });
  const double runs = static_cast<double>(found);
  return estimate(counts, kSymbolBits, share * std::max(1.0, runs / kMost));
}

}  // namespace

std::optional<FittedForm> fit_codec(const ChunkedArray& array, const Elements& sample,
                                    Sampled sampled, const FittedForm& best) {
  constexpr double kWorth = 0.985;
  const double all = static_cast<double>(array.elements.count);
  const bool has_runs = best.form.kind == FormKind::kRuns;
  if (!has_runs && best.entropy > kWorth * best.bits) return std::nullopt;
  const double bits =
      (has_runs ? of_runs(sample, sampled.share) : of_values(sample, sampled.share)).bits;
  if (bits > kWorth * best.bits * all) return std::nullopt;
  const CodecId id = has_runs ? CodecId::kRunLengthHuffman : CodecId::kHuffman;
  const Codec* const codec = find_codec(static_cast<std::uint8_t>(id));
  Options options;
  options.codec = id;
  std::shared_ptr<const Encoder> encoder = codec->make_encoder(array, options);
  if (encoder == nullptr) return std::nullopt;
  FittedForm fitted{{}, bits / all};
  fitted.form.kind = FormKind::kCodec;
  fitted.form.dtype = array.elements.dtype;
  const auto code_book = encoder->code_book();
  fitted.form.codec = {static_cast<std::uint8_t>(id),
                       encoder->layout(),
                       {code_book.begin(), code_book.end()},
                       encoder};
  return fitted;
}

}  // namespace gradwire
