// Run-length codec: (value, run length) pairs of fixed width (FORMAT.md, section 5.1).

#include "codecs/runs/run_length.hpp"

#include <algorithm>
#include <bit>
#include <mutex>

#include "codecs/codec_table.hpp"
#include "codecs/runs/run_fill.hpp"
#include "gradwire/error.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {
namespace {

constexpr unsigned kMaxRunBits = 32;

/// What the widths depend on: the range of the values, and the lengths of the runs.
class RunStatistics {
 public:
  void add(const Elements& chunk) {
    if (chunk.count == 0) return;
    add(key_range(chunk));
    with_width(chunk.dtype, [&]<typename T>() { for_each_run<T>(chunk, RunCounter{*this}); });
  }

  void add(const RunStatistics& other) {
    add(other.range_);
    for (unsigned run = 0; run < kCounted; ++run) {
      even_[run] += other.even_[run];
      odd_[run] += other.odd_[run];
    }
    longer_ += other.longer_;
    for (unsigned w = 0; w <= kMaxRunBits; ++w) further_pairs_[w] += other.further_pairs_[w];
  }

  /// The widths that need the fewest bits.
  RunLengthWidths widths() const {
    RunStatistics all = *this;
    std::uint64_t runs = longer_;
    for (unsigned run = 1; run < kCounted; ++run) {
      runs += even_[run] + odd_[run];
      all.add_further(run - 1, even_[run] + odd_[run]);
    }
    RunLengthWidths best{range_.smallest,
                         static_cast<unsigned>(std::bit_width(range_.largest - range_.smallest)),
                         0};
    double least = 0;
    for (unsigned w = 0; w <= kMaxRunBits; ++w) {
      const double bits = static_cast<double>(runs + all.further_pairs_[w]) * (best.value_bits + w);
      if (w == 0 || bits < least) {
        least = bits;
        best.run_bits = w;
      }
    }
    return best;
  }

 private:
  static constexpr unsigned kCounted = 64;  // shorter runs are counted by length

  /// Counts alternate runs in two tables: in one, a count would have to wait for the one before it.
  struct RunCounter {
    RunStatistics& all;

    void operator()(std::size_t, std::uint64_t run) const { count(run, all.even_); }
    void pair(std::size_t first, std::size_t second, std::size_t end) const {
      count(second - first, all.even_);
      count(end - second, all.odd_);
    }
    void count(std::uint64_t run, std::uint64_t* counts) const {
      if (run < kCounted) {
        ++counts[run];
      } else {
        ++all.longer_;
        all.add_further(run - 1, 1);
      }
    }
  };

  void add(KeyRange range) {
    range_ = {std::min(range_.smallest, range.smallest), std::max(range_.largest, range.largest)};
  }

  void add_further(std::uint64_t further, std::uint64_t runs) {
    for (unsigned w = 0; w <= kMaxRunBits && further != 0; ++w, further >>= 1) {
      further_pairs_[w] += further * runs;
    }
  }

  KeyRange range_{~std::uint64_t{0}, 0};
  std::uint64_t even_[kCounted] = {};
  std::uint64_t odd_[kCounted] = {};
  std::uint64_t longer_ = 0;                           // runs that are not in the two tables
  std::uint64_t further_pairs_[kMaxRunBits + 1] = {};  // by run width: pairs beyond one per run
};

/// Most bits that BitWriter::put takes and BitReader::peek returns.
constexpr unsigned kMostBits = 56;

template <typename T>
T field(const RunLengthWidths& widths, const Elements& chunk, std::size_t i) {
  return static_cast<T>(to_key(load<T>(chunk, i), chunk.dtype) - widths.minimum);
}

/// Without run lengths, each element is a pair; as many as fit are written at once.
template <typename T>
[[gnu::always_inline]] inline void write_values(const RunLengthWidths& widths, BitWriter& writer,
                                                const Elements& chunk) {
  const unsigned width = widths.value_bits;
  const std::size_t step = std::max(1u, kMostBits / width);
  std::size_t i = 0;
  for (; step > 1 && i + step <= chunk.count; i += step) {
    std::uint64_t bits = 0;
    for (std::size_t k = step; k-- > 0;) bits = bits << width | field<T>(widths, chunk, i + k);
    writer.put(bits, static_cast<unsigned>(step) * width);
  }
  for (; i < chunk.count; ++i) writer.put_wide(field<T>(widths, chunk, i), width);
}

template <typename T>
[[gnu::always_inline]] inline void write_pairs(const RunLengthWidths& widths, BitWriter& writer,
                                               const Elements& chunk) {
  const unsigned width = widths.value_bits;
  const unsigned run_bits = widths.run_bits;
  const std::uint64_t longest = std::uint64_t{1} << run_bits;
  for_each_run<T>(chunk, [&](std::size_t first, std::uint64_t run) {
    const std::uint64_t value = field<T>(widths, chunk, first);
    while (run > 0) {
      const std::uint64_t part = std::min(run, longest);
      if (width + run_bits <= kMostBits) {
        writer.put(value | (part - 1) << width, width + run_bits);
      } else {
        writer.put_wide(value, width);
        writer.put(part - 1, run_bits);
      }
      run -= part;
    }
  });
}

class RunLengthEncoder final : public Encoder {
 public:
  RunLengthEncoder(const RunLengthWidths& widths, DType dtype) : widths_(widths) {
    book_ = {static_cast<std::uint8_t>(widths.value_bits),
             static_cast<std::uint8_t>(widths.run_bits)};
    for (unsigned i = 0; i < item_size(dtype); ++i) {
      book_.push_back(static_cast<std::uint8_t>(widths.minimum >> (8 * i)));
    }
  }

  std::span<const std::uint8_t> code_book() const override { return book_; }

  EncodedChunk encode(const Elements& chunk, std::span<std::uint8_t> out) const override {
    if (widths_.value_bits + widths_.run_bits == 0) return {0, 0};
    return with_width(chunk.dtype, [&]<typename T>() -> EncodedChunk {
      BitWriter writer(out);  // local, so that it can stay in registers
      if (widths_.run_bits == 0) {
        write_values<T>(widths_, writer, chunk);
      } else {
        write_pairs<T>(widths_, writer, chunk);
      }
      const std::size_t size = writer.finish();
      return {writer.ok() ? std::optional(size) : std::nullopt, writer.bit_count()};
    });
  }

 private:
  RunLengthWidths widths_;
  std::vector<std::uint8_t> book_;
};

class RunLengthDecoder final : public Decoder {
 public:
  RunLengthDecoder(const RunLengthWidths& widths, DType dtype)
      : widths_(widths), dtype_(dtype), largest_(largest_key(dtype) - widths.minimum) {}

  void decode(std::span<const std::uint8_t> payload, const std::uint8_t*, std::uint8_t* out,
              std::size_t count) const override {
    with_width(dtype_, [&]<typename T>() {
      BitReader reader(payload);
      RunFill<T> fill(out, count);
      const unsigned pair_bits = widths_.value_bits + widths_.run_bits;
      if (pair_bits == 0) {
        fill.put(value<T>(0), count);
      } else if (pair_bits <= kMostBits) {
        read_short_pairs(reader, fill, pair_bits);
      } else {
        while (!fill.done() && !reader.overrun()) {
          const T bits = value<T>(reader.get(widths_.value_bits));
          fill.put(bits, reader.get(widths_.run_bits) + 1);
        }
      }
      fill.finish(reader);
    });
  }

 private:
  /// Reads as many pairs at once as peek() returns.
  template <typename T>
  [[gnu::always_inline]] void read_short_pairs(BitReader& shared, RunFill<T>& shared_fill,
                                               unsigned pair_bits) const {
    BitReader reader = shared;  // local, so that they can stay in registers
    RunFill<T> fill = shared_fill;
    const unsigned step = kMostBits / pair_bits;
    while (!fill.done() && !reader.overrun()) {
      std::uint64_t window = reader.peek();
      unsigned read = 0;
      for (; read < step && !fill.done(); ++read) {
        const std::uint64_t pair = low_bits(window, pair_bits);
        window >>= pair_bits;
        fill.put(value<T>(low_bits(pair, widths_.value_bits)), (pair >> widths_.value_bits) + 1);
      }
      reader.skip(read * pair_bits);
    }
    shared = reader;
    shared_fill = fill;
  }

  template <typename T>
  T value(std::uint64_t distance) const {
    if (distance > largest_) {
      throw CorruptFrameError("a decoded value lies outside the range of its dtype");
    }
    return static_cast<T>(from_key(widths_.minimum + distance, dtype_));
  }

  RunLengthWidths widths_;
  DType dtype_;
  std::uint64_t largest_;  // distance of a key from the smallest one
};

std::unique_ptr<Encoder> make_encoder(const ChunkedArray& array, const Options&) {
  std::mutex mutex;
  RunStatistics total;
  array.for_each_chunk([&](std::size_t, const Elements& chunk) {
    RunStatistics statistics;
    statistics.add(chunk);
    const std::lock_guard lock(mutex);
    total.add(statistics);
  });
  return std::make_unique<RunLengthEncoder>(total.widths(), array.elements.dtype);
}

}  // namespace

RunLengthWidths read_run_length_widths(std::span<const std::uint8_t> code_book, DType dtype) {
  if (code_book.size() != 2 + item_size(dtype)) {
    throw CorruptFrameError("the code book of rle has " + std::to_string(code_book.size()) +
                            " bytes, but its dtype needs " + std::to_string(2 + item_size(dtype)));
  }
  RunLengthWidths widths{0, code_book[0], code_book[1]};
  for (unsigned i = 0; i < item_size(dtype); ++i) {
    widths.minimum |= std::uint64_t{code_book[2 + i]} << (8 * i);
  }
  if (widths.minimum > largest_key(dtype) || widths.value_bits > bits_of(dtype) ||
      widths.run_bits > kMaxRunBits) {
    throw CorruptFrameError("the code book of rle has an invalid width or smallest value");
  }
  return widths;
}

const Codec kRunLengthCodec = {
    .info = {CodecId::kRunLength, "rle", "RunLength"},
    .whole_runs = true,
    .make_encoder = make_encoder,
    .make_decoder = [](std::span<const std::uint8_t> code_book,
                       const CodedArray& array) -> std::unique_ptr<Decoder> {
      return std::make_unique<RunLengthDecoder>(read_run_length_widths(code_book, array.dtype),
                                                array.dtype);
    },
    .widths = read_run_length_widths,
};

}  // namespace gradwire
