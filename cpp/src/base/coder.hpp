#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

#include "base/elements.hpp"

namespace gradwire {

struct EncodedChunk {
  std::optional<std::size_t> size;  ///< bytes written; nullopt if they did not fit
  std::uint64_t code_length;        ///< bits of the chunk's code words, even if they did not fit
};

/// Copies `front` to `out`, lets `encode` write to the rest of it, and adds `bits`, the code length
/// of `front`, to the result.
template <typename F>
EncodedChunk encode_after_prefix(std::span<const std::uint8_t> front, std::uint64_t bits,
                                 std::span<std::uint8_t> out, F&& encode) {
  const bool fits = front.size() <= out.size();
  if (fits) std::copy(front.begin(), front.end(), out.begin());
  EncodedChunk result = encode(fits ? out.subspan(front.size()) : std::span<std::uint8_t>{});
  result.code_length += bits;
  result.size = fits && result.size ? std::optional(*result.size + front.size()) : std::nullopt;
  return result;
}

/// How the bits of the code words are ordered (FORMAT.md, section 5.3), or that the code book
/// describes forms (section 5.6).
enum class Layout : std::uint8_t { kClassic, kPivot, kForms };

/// Encodes the chunks of one array. Immutable, so that threads may share it.
class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual std::span<const std::uint8_t> code_book() const = 0;
  virtual Layout layout() const { return Layout::kClassic; }
  /// Writes the payload of one chunk to `out`, and never past its end.
  virtual EncodedChunk encode(const Elements& chunk, std::span<std::uint8_t> out) const = 0;
};

/// Decodes the chunks of one frame. Immutable.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Decodes `count` elements to `out`. Throws CorruptFrameError unless they use up `payload`
  /// exactly. Bytes between the payload's end and `readable_end` may be read, but have no effect.
  virtual void decode(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
                      std::uint8_t* out, std::size_t count) const = 0;
};

/// What a frame says about its array.
struct CodedArray {
  DType dtype;
  std::uint64_t count;  ///< number of elements
  Layout layout;
};

}  // namespace gradwire
