// Elias-omega codec: the mapped value, then the length, of each run (FORMAT.md, section 5.2).

#include "codec_table.hpp"
#include "gradwire/error.hpp"
#include "omega.hpp"
#include "run_fill.hpp"

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
  if (value.magnitude > limit) throw CorruptFrameError("a value lies outside its dtype");
  const T magnitude = static_cast<T>(value.magnitude);
  return value.non_negative ? magnitude : static_cast<T>(T{0} - magnitude);
}

class EliasEncoder final : public Encoder {
 public:
  std::span<const std::uint8_t> code_book() const override { return {}; }

  EncodedChunk encode(const Elements& chunk, std::span<std::uint8_t> out) const override {
    BitWriter writer(out);
    with_width(chunk.dtype, [&]<typename T>() {
      for_each_run<T>(chunk, [&](std::size_t first, std::uint64_t run) {
        write_mapped_run(writer, to_mapped(load<T>(chunk, first), chunk.dtype), run);
      });
    });
    const std::size_t size = writer.finish();
    return {writer.ok() ? std::optional(size) : std::nullopt, writer.bit_count()};
  }
};

class EliasDecoder final : public Decoder {
 public:
  explicit EliasDecoder(DType dtype) : dtype_(dtype) {}

  void decode(std::span<const std::uint8_t> payload, const std::uint8_t*, std::uint8_t* out,
              std::size_t count) const override {
    with_width(dtype_, [&]<typename T>() {
      BitReader reader(payload);
      RunFill<T> fill(out, count);
      while (!fill.done()) {
        const T value = from_mapped<T>(read_mapped(reader), dtype_);
        fill.put(value, read_omega(reader));
        if (reader.overrun()) break;
      }
      fill.finish(reader);
    });
  }

 private:
  DType dtype_;
};

}  // namespace

const Codec kEliasOmegaCodec = {
    {CodecId::kEliasOmega, "elias", "EliasOmega"},
    true,
    [](const ChunkedArray&, const Options&) -> std::unique_ptr<Encoder> {
      return std::make_unique<EliasEncoder>();
    },
    [](std::span<const std::uint8_t> code_book, DType dtype,
       std::uint64_t) -> std::unique_ptr<Decoder> {
      if (!code_book.empty()) throw CorruptFrameError("elias has no code book");
      return std::make_unique<EliasDecoder>(dtype);
    },
};

}  // namespace gradwire
