#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradwire/error.hpp"

namespace gradwire {

/// Appends a number in groups of 7 bits, lowest first; the high bit of a byte says that one
/// follows.
template <typename Bytes>
void append_varint(Bytes& out, std::uint64_t n) {
  for (; n >= 0x80; n >>= 7) out.push_back(static_cast<std::uint8_t>(n | 0x80));
  out.push_back(static_cast<std::uint8_t>(n));
}

/// Calls f for a part of a frame that is all there: if it ends early, it is damaged.
template <typename F>
decltype(auto) damage_not_truncation(F&& f) {
  try {
    return f();
  } catch (const TruncatedFrameError&) {
    throw CorruptFrameError("a part of the frame ends before all that it should hold");
  }
}

/// Takes bytes off the front of a frame, and never one that is not there.
class ByteReader {
 public:
  explicit ByteReader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  std::size_t left() const { return bytes_.size(); }

  std::span<const std::uint8_t> take(std::uint64_t count) {
    if (count > bytes_.size()) {
      throw TruncatedFrameError("frame is truncated: " + std::to_string(count) +
                                " more bytes are needed where " + std::to_string(bytes_.size()) +
                                " are left");
    }
    const auto taken = bytes_.first(static_cast<std::size_t>(count));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }

  std::uint8_t byte() { return take(1)[0]; }

  /// The number that append_varint wrote; its shortest form only.
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
    throw CorruptFrameError("frame has a number that is longer than it may be");
  }

  std::uint32_t u32() {
    const auto b = take(4);
    return b[0] | std::uint32_t{b[1]} << 8 | std::uint32_t{b[2]} << 16 | std::uint32_t{b[3]} << 24;
  }

 private:
  std::span<const std::uint8_t> bytes_;
};

}  // namespace gradwire
