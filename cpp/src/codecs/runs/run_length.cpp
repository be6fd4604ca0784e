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
struct RunStatistics {
  KeyRange range{~std::uint64_t{0}, 0};
  std::uint64_t runs = 0;
  std::uint64_t further_pairs[kMaxRunBits + 1] = {};  // by run width: pairs beyond one per run

  void add(std::uint64_t key, std::uint64_t run) {
    range = {std::min(range.smallest, key), std::max(range.largest, key)};
    ++runs;
    std::uint64_t further = run - 1;
    for (unsigned w = 0; w <= kMaxRunBits && further != 0; ++w, further >>= 1) {
      further_pairs[w] += further;
    }
  }

  void add(const RunStatistics& other) {
    range = {std::min(range.smallest, other.range.smallest),
             std::max(range.largest, other.range.largest)};
    runs += other.runs;
    for (unsigned w = 0; w <= kMaxRunBits; ++w) further_pairs[w] += other.further_pairs[w];
  }

  /// The widths that need the fewest bits.
  RunLengthWidths widths() const {
    RunLengthWidths best{range.smallest,
                         static_cast<unsigned>(std::bit_width(range.largest - range.smallest)), 0};
    double least = 0;
    for (unsigned w = 0; w <= kMaxRunBits; ++w) {
      const double bits = static_cast<double>(runs + further_pairs[w]) * (best.value_bits + w);
      if (w == 0 || bits < least) {
        least = bits;
        best.run_bits = w;
      }
    }
    return best;
  }
};

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
    const std::uint64_t longest = std::uint64_t{1} << widths_.run_bits;
    return with_width(chunk.dtype, [&]<typename T>() -> EncodedChunk {
      BitWriter writer(out);  // local, so that it can stay in registers
      for_each_run<T>(chunk, [&](std::size_t first, std::uint64_t run) {
        const std::uint64_t value = to_key(load<T>(chunk, first), chunk.dtype) - widths_.minimum;
        while (run > 0) {
          const std::uint64_t part = std::min(run, longest);
          writer.put_wide(value, widths_.value_bits);
          writer.put(part - 1, widths_.run_bits);
          run -= part;
        }
      });
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
  RunLengthDecoder(const RunLengthWidths& widths, DType dtype) : widths_(widths), dtype_(dtype) {}

  void decode(std::span<const std::uint8_t> payload, const std::uint8_t*, std::uint8_t* out,
              std::size_t count) const override {
    with_width(dtype_, [&]<typename T>() {
      BitReader reader(payload);
      RunFill<T> fill(out, count);
      while (!fill.done()) {
        const std::uint64_t value = reader.get(widths_.value_bits);
        if (value > largest_key(dtype_) - widths_.minimum) {
          throw CorruptFrameError("a decoded value lies outside the range of its dtype");
        }
        const std::uint64_t run = reader.get(widths_.run_bits) + 1;
        fill.put(static_cast<T>(from_key(widths_.minimum + value, dtype_)), run);
        if (reader.overrun()) break;
      }
      fill.finish(reader);
    });
  }

 private:
  RunLengthWidths widths_;
  DType dtype_;
};

std::unique_ptr<Encoder> make_encoder(const ChunkedArray& array, const Options&) {
  std::mutex mutex;
  RunStatistics total;
  array.for_each_chunk([&](std::size_t, const Elements& chunk) {
    RunStatistics statistics;
    with_width(chunk.dtype, [&]<typename T>() {
      for_each_run<T>(chunk, [&](std::size_t first, std::uint64_t run) {
        statistics.add(to_key(load<T>(chunk, first), chunk.dtype), run);
      });
    });
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
