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

/// One code word per byte, in one of the layouts of FORMAT.md, section 5.3.

/// Sequences of so many bytes repay tables to decode them, short code words, and the pivot layout.
inline constexpr std::uint64_t kTablesFrom = std::uint64_t{1} << 14;

/// The layouts that an encoder may choose from.
enum class Layouts : bool { kClassic, kAny };

/// Writes streams of code words, the sizes of all but the last before them. `write` puts what fits
/// of the code words from `begin` to `end` into `room`, and returns the bits of all.
using StreamWriter =
    std::function<std::uint64_t(std::size_t begin, std::size_t end, std::span<std::uint8_t> room)>;
EncodedChunk write_streams(std::size_t count, std::span<std::uint8_t> out,
                           const StreamWriter& write);

/// The streams of `count` code words. Throws CorruptFrameError if they pass the payload's end.
std::vector<std::span<const std::uint8_t>> read_streams(std::span<const std::uint8_t> payload,
                                                        std::size_t count);

/// Immutable once made.
class ByteEncoder {
 public:
  /// Symbol i of the code is bytes[i]; any other byte gets the code word of one of them. `total`:
  /// how many bytes will be coded; `weights`: of the symbols.
  ByteEncoder(const PrefixCode& code, std::span<const std::uint8_t> bytes,
              std::span<const std::uint64_t> weights, std::uint64_t total, Layouts layouts);

  Layout layout() const { return pivot_ ? Layout::kPivot : Layout::kClassic; }

  EncodedChunk encode(std::span<const std::uint8_t> bytes, std::span<std::uint8_t> out) const;

 private:
  std::uint64_t encode_stream(std::span<const std::uint8_t> bytes,
                              std::span<std::uint8_t> out) const;

  std::optional<PivotCode> pivot_;
  std::unique_ptr<OwnedEncodeTable> table_;  // of the classic layout, if words have bits
};

/// Immutable once made. Refers to the code, which must not move.
class ByteDecoder {
 public:
  /// Throws CorruptFrameError if the code does not fit the layout.
  ByteDecoder(const PrefixCode& code, std::span<const std::uint8_t> bytes, Layout layout,
              std::uint64_t total);

  /// Fills `count` bytes from exactly `payload`, or throws CorruptFrameError.
  void decode(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
              std::uint8_t* out, std::size_t count) const;

 private:
  void decode_one_by_one(std::span<const std::uint8_t> stream, std::span<std::uint8_t> out) const;

  const PrefixCode& code_;
  std::vector<std::uint8_t> bytes_;
  std::optional<PivotCode> pivot_;
  std::unique_ptr<ByteDecodeTable> table_;  // of the classic layout, where it is worth making
};

}  // namespace gradwire
