#include "codecs/entropy/fit_form.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#include "base/bit_io.hpp"
#include "codecs/entropy/fit_blocks.hpp"
#include "codecs/entropy/judge_blocks.hpp"
#include "codecs/entropy/parts.hpp"

namespace gradwire {
namespace {

constexpr unsigned kMostNested = 2;  // forms that make sequences of values, in one another
constexpr double kManyZeros = 0.3;   // share of the background from which gaps may pay
constexpr double kFewerRuns = 1.5;  // runs for each element that is not background, up to which ...
constexpr double kFewRuns = 0.25;   // and for each element, up to which differences do not pay
constexpr double kWorth = 0.992;    // bits for each bit of blocks, which are faster
constexpr std::size_t kFewest = 4;  // elements for each value whose entropy tells something
constexpr double kSmallChange = 0.5;  // bits that differences of neighbors must save on average

struct Candidate {
  Form form;
  double bits;  // of the sample, and of its share of the code book
  /// Of the sample's values, if they are few; otherwise infinite.
  double entropy = std::numeric_limits<double>::infinity();
};

/// One sequence to be fitted.
struct Task {
  Elements sample;
  Sampled sampled;
  /// If given, all keys lie in [smallest, smallest + 255].
  std::optional<std::uint64_t> smallest;
  const PlainBytes* plain;  ///< null unless elements are to be coded as bytes in this way
  unsigned nested;
};

Candidate fit(const Task& task);

/// What the sample says about sequences that are made of each chunk: borders of chunks make new
/// elements, and move blocks.
Sampled made(Sampled sampled) {
  return {sampled.is_one_chunk, sampled.is_one_chunk, sampled.share, sampled.codes_others};
}

Candidate fit_blocks(const Elements& sample, Sampled sampled, std::uint64_t smallest,
                     std::size_t values = 256) {
  const Scratch room(sample.count);
  const std::span bytes(room.data(), sample.count);
  to_bytes(sample, 0, bytes.data());
  FittedBlocks blocks =
      fit_block_model({bytes, count_bytes(bytes)}, smallest, sample.dtype, sampled, values);
  Candidate fitted{form_of(std::move(blocks.model), sample.dtype), blocks.bits};
  fitted.bits += book_bits(fitted.form, sampled);
  return fitted;
}

/// Symbols below `size`. Few of them are coded two at a time if whole bits for each are too many.
Candidate fit_symbols(const Elements& symbols, Sampled sampled, std::size_t size) {
  const ByteCounts counts = count_bytes({symbols.data, symbols.count});
  Candidate blocks = fit_blocks(symbols, sampled, 0, size);
  if (size < 2 || size > kMostBase || blocks.bits < kNear * information(counts)) return blocks;
  const Scratch room(symbols.count / 2 + 1);
  Form form{.kind = FormKind::kPairs, .dtype = DType::kUInt8};
  form.base = static_cast<std::uint8_t>(size);
  // Chunks have the same pairs as the array.
  Candidate coded = fit_blocks(pairs(symbols, form.base, room), sampled, 0, size * size);
  coded.bits += book_bits(form, sampled);
  if (coded.bits > blocks.bits) return blocks;
  form.parts.push_back(std::move(coded.form));
  return {std::move(form), coded.bits};
}

Candidate fit_in_bins(const Elements& sample, Sampled sampled, std::span<const ValueCount> values) {
  Form form{.kind = FormKind::kBins, .dtype = sample.dtype};
  form.bins = fit_bins(values, sample.dtype, sampled);
  const OwnedBinFinder finder = bin_finder(form.bins, sample.dtype, sample.count);
  const BinTable table = bin_table(form.bins, sample.dtype);
  const Scratch symbols(sample.count);
  const Scratch fields(fields_room(table, sample.count));
  const std::size_t bits = kernels().bins.write(&finder, &table, sample.data, sample.count,
                                                sample.width(), symbols.data(), fields.data());
  Candidate coded =
      fit_symbols({symbols.data(), sample.count, DType::kUInt8}, sampled, form.bins.size());
  const double all = static_cast<double>(bits) + coded.bits + book_bits(form, sampled);
  form.parts.push_back(std::move(coded.form));
  return {std::move(form), all};
}

/// Elements as they are. `zeros`: share of the most frequent one.
Candidate fit_plain(const Task& task, std::span<const ValueCount> values, double zeros) {
  if (!task.smallest) return fit_in_bins(task.sample, task.sampled, values);
  Candidate blocks;
  if (task.plain != nullptr) {
    blocks.form = form_of(task.plain->model, task.sample.dtype);
    const double others = (1 - zeros) * static_cast<double>(task.sample.count);
    blocks.bits = task.plain->bits * others + book_bits(blocks.form, task.sampled);
  } else {
    blocks = fit_blocks(task.sample, task.sampled, *task.smallest);
  }
  const bool may_be_pairs = values.size() <= kMostBase && zeros < kManyZeros;
  const bool has_books = has_large_books(blocks.bits, book_bits(blocks.form, task.sampled));
  if (!may_be_pairs && (!has_books || zeros > kMostZeros)) return blocks;
  Candidate bins = fit_in_bins(task.sample, task.sampled, values);
  const bool are_near = task.plain != nullptr && task.plain->are_near;
  return bins.bits < (are_near ? kMuchLess : kWorth) * blocks.bits ? bins : blocks;
}

Candidate fit_parts(const Task& task, FormKind kind, std::uint64_t background,
                    const TwoParts& parts) {
  Candidate counts = fit_in_bins(parts.counts, made(task.sampled),
                                 count_sample(parts.counts, count_runs(parts.counts)));
  Candidate values =
      fit({parts.values, made(task.sampled), task.smallest, nullptr, task.nested + 1});
  Candidate fitted{{.kind = kind, .dtype = task.sample.dtype, .background = background},
                   counts.bits + values.bits};
  fitted.form.parts.push_back(std::move(counts.form));
  fitted.form.parts.push_back(std::move(values.form));
  return fitted;
}

/// Whether differences of neighbors take fewer bits than deviations from `center`.
bool changes_slowly(const Elements& sample, std::uint64_t center) {
  constexpr std::size_t kFirst = 256;  // these elements of each group tell enough
  constexpr std::size_t kGroup = 2048;
  std::uint64_t deviations = 0;
  std::uint64_t changes = 0;
  std::uint64_t seen = 0;
  with_width(sample.dtype, [&]<typename T>() {
    using Signed = std::make_signed_t<T>;
    // By bits rather than sizes: a few values may lie far away from all others.
    const auto size_of = [](T difference) {
      const auto distance = static_cast<Signed>(difference);
      return std::bit_width(static_cast<T>(distance < 0 ? ~distance : distance));
    };
    const T middle = static_cast<T>(from_key(center, sample.dtype));
    for (std::size_t begin = 0; begin < sample.count; begin += kGroup) {
      T before = load<T>(sample, begin);
      for (std::size_t i = begin; i < std::min(begin + kFirst, sample.count); ++i) {
        const T here = load<T>(sample, i);
        changes += static_cast<std::uint64_t>(size_of(static_cast<T>(here - before)));
        deviations += static_cast<std::uint64_t>(size_of(static_cast<T>(here - middle)));
        ++seen;
        before = here;
      }
    }
  });
  return static_cast<double>(changes) + kSmallChange * static_cast<double>(seen) <
         static_cast<double>(deviations);
}

std::uint64_t median_key(std::span<const ValueCount> values, std::size_t all) {
  std::uint64_t before = 0;
  for (const ValueCount& value : values) {
    before += value.count;
    if (before > all / 2) return value.key;
  }
  return values.back().key;
}

/// Bits of elements in runs if these had lengths as by chance, and values as those of `plain` bits.
double bits_in_runs(double runs, double elements, double plain) {
  const std::uint64_t borders[] = {static_cast<std::uint64_t>(runs),
                                   static_cast<std::uint64_t>(elements - runs)};
  return information(borders) + runs / elements * plain;
}

std::vector<std::uint64_t> counts_of(std::span<const ValueCount> values) {
  std::vector<std::uint64_t> counts;
  for (const ValueCount& value : values) counts.push_back(value.count);
  return counts;
}

Candidate fit(const Task& task) {
  const Elements& sample = task.sample;
  const double size = static_cast<double>(sample.count);
  const std::size_t run_count = count_runs(sample);
  const std::vector<ValueCount> values = count_sample(sample, run_count);
  const auto mode =
      std::max_element(values.begin(), values.end(),
                       [](const ValueCount& a, const ValueCount& b) { return a.count < b.count; });
  const double zeros = static_cast<double>(mode->count);
  const double runs = static_cast<double>(run_count);
  const bool is_leaf = task.nested >= kMostNested || values.size() == 1;
  const bool tries_gaps = !is_leaf && zeros > kManyZeros * size;
  Candidate best{{}, std::numeric_limits<double>::infinity()};
  const auto keep_better = [&](Candidate other) {
    const bool are_near = task.plain != nullptr && task.plain->are_near;
    const double worth = best.form.kind != FormKind::kBlocks              ? 1
                         : are_near && other.form.kind != FormKind::kRuns ? kMuchLess
                                                                          : kWorth;
    if (other.bits < worth * best.bits) best = std::move(other);
  };
  if (!tries_gaps || task.smallest || zeros < kMostZeros * size)
    keep_better(fit_plain(task, values, zeros / size));
  const Scratch room(parts_room(sample.count, sample.width()));
  if (tries_gaps) {
    const std::uint64_t background =
        low_bits(from_key(mode->key, sample.dtype), bits_of(sample.dtype));
    keep_better(fit_parts(task, FormKind::kGaps, background, split_gaps(sample, background, room)));
  }
  const bool tries_runs = !is_leaf && (!tries_gaps || runs < kFewerRuns * (size - zeros)) &&
                          bits_in_runs(runs, size, best.bits) < kSaving * best.bits;
  if (tries_runs) keep_better(fit_parts(task, FormKind::kRuns, 0, split_runs(sample, room)));
  const bool tries_differences =
      !is_leaf && !tries_gaps && runs > kFewRuns * size && sample.dtype != DType::kBool;
  if (tries_differences && changes_slowly(sample, median_key(values, sample.count))) {
    const bool are_bytes = sample.width() == 1;
    Candidate changes =
        fit({differences(sample, room), made(task.sampled),
             are_bytes ? std::optional<std::uint64_t>(0) : std::nullopt, nullptr, task.nested + 1});
    Form form{.kind = FormKind::kDifferences, .dtype = sample.dtype};
    form.parts.push_back(std::move(changes.form));
    keep_better({std::move(form), changes.bits});
  }
  if (task.nested == 0 && values.size() * kFewest <= sample.count) {
    best.entropy = information(counts_of(values));
  }
  return best;
}

}  // namespace

FittedForm fit_form(const Elements& sample, Sampled sampled, std::optional<PlainBytes> plain) {
  Candidate fitted = plain ? fit({sample, sampled, plain->model.smallest, &*plain, 0})
                           : fit({sample, sampled, std::nullopt, nullptr, 0});
  const double size = static_cast<double>(sample.count);
  return {std::move(fitted.form), fitted.bits / size, fitted.entropy / size};
}

}  // namespace gradwire
