#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/coder.hpp"
#include "prefix/pivot_code.hpp"
#include "prefix/prefix_code.hpp"

namespace gradwire {

/// Coding of bytes, one code word for each, in one of the layouts of FORMAT.md, section 5.3.

/// Shortest sequence, in bytes, for which decoding tables, short code words and the pivot layout
/// pay off.
inline constexpr std::uint64_t kTablesFrom = std::uint64_t{1} << 14;

/// The layouts that an encoder may choose from.
enum class Layouts : bool { kClassic, kAny };

/// Writes those of the code words [begin, end) that fit into `room`, and returns the number of bits
/// of all of them.
using StreamWriter =
    std::function<std::uint64_t(std::size_t begin, std::size_t end, std::span<std::uint8_t> room)>;
/// Writes the streams of `count` code words, preceded by the sizes of all streams but the last.
EncodedChunk write_streams(std::size_t count, std::span<std::uint8_t> out,
                           const StreamWriter& write);

/// Splits a payload into the streams of `count` code words. Throws CorruptFrameError if they extend
/// past its end.
std::vector<std::span<const std::uint8_t>> read_streams(std::span<const std::uint8_t> payload,
                                                        std::size_t count);

/// Immutable after construction.
class ByteEncoder {
 public:
  /// Symbol i of the code stands for bytes[i]; any other byte gets the code word of one of these.
  /// `weights`: frequencies of the symbols.
  ByteEncoder(const PrefixCode& code, std::span<const std::uint8_t> bytes,
              std::span<const std::uint64_t> weights, ExpectedWords expected, Layouts layouts);

  Layout layout() const { return pivot_ ? Layout::kPivot : Layout::kClassic; }

  EncodedChunk encode(std::span<const std::uint8_t> bytes, std::span<std::uint8_t> out) const;

 private:
  std::uint64_t encode_stream(std::span<const std::uint8_t> bytes,
                              std::span<std::uint8_t> out) const;

  std::optional<PivotCode> pivot_;
  std::unique_ptr<OwnedEncodeTable> table_;  // classic layout only; null if words have no bits
};

/// Immutable after construction. Refers to the code, which must outlive it and not move.
class ByteDecoder {
 public:
  /// Throws CorruptFrameError if the code does not fit the layout.
  ByteDecoder(const PrefixCode& code, std::span<const std::uint8_t> bytes, Layout layout,
              ExpectedWords expected);

  /// Decodes `count` bytes to `out`. Throws CorruptFrameError unless they use up `payload` exactly.
  void decode(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
              std::uint8_t* out, std::size_t count) const;

 private:
  void fill(std::span<const std::span<const std::uint8_t>> streams,
            std::span<std::uint8_t> out) const;
  void decode_one_by_one(std::span<const std::uint8_t> stream, std::span<std::uint8_t> out) const;

  const PrefixCode& code_;
  std::vector<std::uint8_t> bytes_;
  std::optional<PivotCode> pivot_;
  std::unique_ptr<ByteDecodeTable> table_;  // classic layout only; null if not worth making
};

}  // namespace gradwire
