// Elias-omega codec: the mapped value, then the length, of each run (FORMAT.md, section 5.2).

#include <array>

#include "codecs/codec_table.hpp"
#include "codecs/runs/run_fill.hpp"
#include "gradwire/error.hpp"
#include "prefix/omega.hpp"

namespace gradwire {
namespace {

template <typename T>
MappedValue to_mapped(T bits, DType dtype) {
  const bool negative = is_signed(dtype) && (bits >> (8 * sizeof(T) - 1)) != 0;
  return {negative ? static_cast<T>(T{0} - bits) : bits, !negative};
}

template <typename T>
T from_mapped(MappedValue value, DType dtype) {
  const std::uint64_t largest = largest_key(dtype) >> is_signed(dtype);
  const std::uint64_t limit = value.non_negative ? largest : is_signed(dtype) ? largest + 1 : 0;
  if (value.magnitude > limit)
    throw CorruptFrameError("a decoded value lies outside the range of its dtype");
  const T magnitude = static_cast<T>(value.magnitude);
  return value.non_negative ? magnitude : static_cast<T>(T{0} - magnitude);
}

/// Shorter runs of bytes are coded two at a time: on qsgd4, this encodes 2.2 times and decodes 4.4
/// times as fast as one at a time (bench/throughput.py).
constexpr std::uint32_t kShortRun = 32;

/// The code words of a byte and of a short run of it, by byte * kShortRun + run: both words | their
/// total length << 27.
using RunWords = std::array<std::uint32_t, 256 * kShortRun>;
constexpr unsigned kRunWordBits = 27;

RunWords make_run_words(DType dtype) {
  RunWords words{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    const MappedValue value = to_mapped(static_cast<std::uint8_t>(byte), dtype);
    const SmallOmega a = kSmallOmega[2 * value.magnitude + value.non_negative];
    for (unsigned run = 1; run < kShortRun; ++run) {
      const SmallOmega b = kSmallOmega[run];
      words[byte * kShortRun + run] =
          a.bits | b.bits << a.length | (a.length + b.length) << kRunWordBits;
    }
  }
  return words;
}

const RunWords& run_words(DType dtype) {
  static const RunWords of_signed = make_run_words(DType::kInt8);
  static const RunWords of_unsigned = make_run_words(DType::kUInt8);
  return is_signed(dtype) ? of_signed : of_unsigned;
}

/// Writes runs of bytes, two at a time if both are short.
struct RunPairs {
  const RunWords& words;
  const Elements& chunk;
  BitWriter& writer;

  void operator()(std::size_t first, std::uint64_t run) const {
    write_mapped_run(writer, to_mapped(chunk.data[first], chunk.dtype), run);
  }

  void pair(std::size_t first, std::size_t second, std::size_t end) const {
    const std::size_t runs[] = {second - first, end - second};
    if ((runs[0] | runs[1]) >= kShortRun) {
      (*this)(first, runs[0]);
      (*this)(second, runs[1]);
      return;
    }
    constexpr std::uint32_t kWord = (1u << kRunWordBits) - 1;
    const std::uint32_t a = words[chunk.data[first] * kShortRun + runs[0]];
    const std::uint32_t b = words[chunk.data[second] * kShortRun + runs[1]];
    const unsigned length = a >> kRunWordBits;
    writer.put((a & kWord) | std::uint64_t{b & kWord} << length, length + (b >> kRunWordBits));
  }
};

class EliasEncoder final : public Encoder {
 public:
  explicit EliasEncoder(DType dtype) : words_(run_words(dtype)) {}

  std::span<const std::uint8_t> code_book() const override { return {}; }

  EncodedChunk encode(const Elements& chunk, std::span<std::uint8_t> out) const override {
    return with_width(chunk.dtype, [&]<typename T>() -> EncodedChunk {
      BitWriter writer(out);  // local, so that it can stay in registers
      if constexpr (sizeof(T) == 1) {
        for_each_run<T>(chunk, RunPairs{words_, chunk, writer});
      } else {
        for_each_run<T>(chunk, [&](std::size_t first, std::uint64_t run) {
          write_mapped_run(writer, to_mapped(load<T>(chunk, first), chunk.dtype), run);
        });
      }
      const std::size_t size = writer.finish();
      return {writer.ok() ? std::optional(size) : std::nullopt, writer.bit_count()};
    });
  }

 private:
  const RunWords& words_;
};

/// One or two short runs of small values, by the next kRunsLookupBits bits: length of their code
/// words | first run << 4 | second run << 9 | first byte << 16 | second byte << 24. 0 if the first
/// run has longer code words or a larger value.
constexpr unsigned kRunsLookupBits = 12;
using RunsLookup = std::array<std::uint32_t, 1u << kRunsLookupBits>;

struct OneRun {
  std::uint32_t length = 0;  // of the code words; 0: no run found
  std::uint32_t run = 0;
  std::uint32_t byte = 0;
};

/// The run whose code words come first in the lowest `available` bits. Values are not negative if
/// the type is unsigned.
OneRun first_run(std::uint32_t bits, unsigned available, bool is_signed) {
  constexpr std::uint32_t kMaxNumber = 255;  // mapped from 127
  const auto number = [&](OneRun& found) -> std::uint32_t {
    const std::uint32_t entry = kOmegaLookup[bits & (kOmegaLookup.size() - 1)];
    const std::uint32_t length = entry & 255;
    if (entry == 0 || found.length + length > available) return 0;
    bits >>= length;
    found.length += length;
    return entry >> 8;
  };
  OneRun found;
  const std::uint32_t mapped = number(found);
  found.run = mapped == 0 ? 0 : number(found);
  if (mapped > kMaxNumber || found.run == 0 || found.run >= kShortRun) return {};
  if (!is_signed && mapped % 2 == 0) return {};
  const std::uint32_t magnitude = mapped / 2;
  found.byte = (mapped & 1 ? magnitude : 0 - magnitude) & 255;
  return found;
}

RunsLookup make_runs_lookup(bool is_signed) {
  RunsLookup table{};
  for (std::uint32_t bits = 0; bits < table.size(); ++bits) {
    const OneRun first = first_run(bits, kRunsLookupBits, is_signed);
    if (first.length == 0) continue;
    const OneRun second =
        first_run(bits >> first.length, kRunsLookupBits - first.length, is_signed);
    table[bits] = (first.length + second.length) | first.run << 4 | second.run << 9 |
                  first.byte << 16 | second.byte << 24;
  }
  return table;
}

/// Decodes runs as long as they are short, of small values, and far from the end. Always inline, so
/// that reader and fill can stay in registers.
template <bool Signed, typename T>
[[gnu::always_inline]] inline void fill_short_runs(BitReader& reader, RunFill<T>& fill) {
  static const RunsLookup lookup = make_runs_lookup(Signed);
  constexpr unsigned kLooks = 4;  // lookups of 12 bits each, out of the 56 that peek() returns
  const auto put = [&](std::uint32_t byte, std::uint32_t run) {
    const T value = static_cast<T>(static_cast<std::int8_t>(byte));
    if constexpr (RunFill<T>::kShort >= kShortRun) {
      fill.put_short(value, run);
    } else {
      fill.put(value, run);
    }
  };
  std::uint32_t entry = 1;
  while (entry != 0 && fill.left() >= 2 * kLooks * kShortRun && !reader.overrun()) {
    std::uint64_t window = reader.peek();
    unsigned used = 0;
    for (unsigned k = 0; k < kLooks; ++k) {
      entry = lookup[window & (lookup.size() - 1)];
      if (entry == 0) break;
      put(entry >> 16 & 255, entry >> 4 & 31);
      put(entry >> 24, entry >> 9 & 31);
      window >>= entry & 15;
      used += entry & 15;
    }
    reader.skip(used);
  }
}

class EliasDecoder final : public Decoder {
 public:
  explicit EliasDecoder(DType dtype) : dtype_(dtype) {}

  void decode(std::span<const std::uint8_t> payload, const std::uint8_t*, std::uint8_t* out,
              std::size_t count) const override {
    with_width(dtype_, [&]<typename T>() {
      if (is_signed(dtype_)) {
        decode_runs<true, T>(payload, out, count);
      } else {
        decode_runs<false, T>(payload, out, count);
      }
    });
  }

 private:
  template <bool Signed, typename T>
  void decode_runs(std::span<const std::uint8_t> payload, std::uint8_t* out,
                   std::size_t count) const {
    BitReader reader(payload);
    RunFill<T> fill(out, count);
    while (!fill.done()) {
      fill_short_runs<Signed>(reader, fill);
      const T value = from_mapped<T>(read_mapped(reader), dtype_);
      fill.put(value, read_omega(reader));
      if (reader.overrun()) break;
    }
    fill.finish(reader);
  }

  DType dtype_;
};

}  // namespace

const Codec kEliasOmegaCodec = {
    .info = {CodecId::kEliasOmega, "elias", "EliasOmega"},
    .whole_runs = true,
    .make_encoder = [](const ChunkedArray& array, const Options&) -> std::unique_ptr<Encoder> {
      return std::make_unique<EliasEncoder>(array.elements.dtype);
    },
    .make_decoder = [](std::span<const std::uint8_t> code_book,
                       const CodedArray& array) -> std::unique_ptr<Decoder> {
      if (!code_book.empty()) throw CorruptFrameError("a frame of elias must not have a code book");
      return std::make_unique<EliasDecoder>(array.dtype);
    },
};

}  // namespace gradwire
