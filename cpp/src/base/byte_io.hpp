#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "gradwire/error.hpp"

namespace gradwire {

/// Appends a number in groups of 7 bits, lowest first; the high bit of a byte says that another
/// byte follows.
template <typename Bytes>
void append_varint(Bytes& out, std::uint64_t n) {
  for (; n >= 0x80; n >>= 7) out.push_back(static_cast<std::uint8_t>(n | 0x80));
  out.push_back(static_cast<std::uint8_t>(n));
}

/// What bytes are. A frame that ends too early is truncated. A part of a frame that is known to be
/// complete is damaged if it ends too early.
enum class Extent : bool { kPart, kFrame };

/// Takes bytes off the front of a frame or a part. Throws instead of reading past its end.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::uint8_t> bytes, Extent extent = Extent::kPart)
      : bytes_(bytes), extent_(extent) {}

  std::size_t left() const { return bytes_.size(); }
  [[noreturn]] void ends_too_early(const std::string& truncated) const {
    if (extent_ == Extent::kFrame) throw TruncatedFrameError("frame is truncated: " + truncated);
    throw CorruptFrameError("frame is damaged: one of its parts ends too early");
  }

  std::span<const std::uint8_t> take(std::uint64_t count) {
    if (count > bytes_.size()) {
      ends_too_early(std::to_string(count) + " more bytes are needed, but only " +
                     std::to_string(bytes_.size()) + " are left");
    }
    const auto taken = bytes_.first(static_cast<std::size_t>(count));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }

  std::uint8_t byte() { return take(1)[0]; }

  /// Reads a number that append_varint wrote. Throws CorruptFrameError unless it is in its shortest
  /// form.
  std::uint64_t varint() {
    std::uint64_t n = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint8_t next = byte();
      if (shift == 63 && next > 1) break;
      n |= std::uint64_t{next & 0x7Fu} << shift;
      if (next < 0x80) {
        if (next == 0 && shift > 0) break;
        return n;
      }
    }
    throw CorruptFrameError(
        "invalid variable-length number: it exceeds 64 bits or is not in its shortest form");
  }

  std::uint32_t u32() {
    const auto b = take(4);
    return b[0] | std::uint32_t{b[1]} << 8 | std::uint32_t{b[2]} << 16 | std::uint32_t{b[3]} << 24;
  }

 private:
  std::span<const std::uint8_t> bytes_;
  Extent extent_;
};

}  // namespace gradwire
