#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

namespace gradwire {

static_assert(std::endian::native == std::endian::little, "gradwire needs a little-endian machine");

/// The lowest `count` bits of x, 0 <= count <= 64.
constexpr std::uint64_t low_bits(std::uint64_t x, unsigned count) {
  return count >= 64 ? x : x & ((std::uint64_t{1} << count) - 1);
}

/// Writes bits to a fixed span; the first bit goes into the lowest bit of the first byte. Overflow
/// is sticky: nothing is written past the span, and ok() reports it at the end.
class BitWriter {
 public:
  explicit BitWriter(std::span<std::uint8_t> out)
      : begin_(out.data()), next_(out.data()), end_(out.data() + out.size()) {}

  /// Appends the lowest `count` bits, count <= 56; the higher bits of `bits` must be zero.
  void put(std::uint64_t bits, unsigned count) {
    pending_ |= bits << filled_;
    filled_ += count;
    total_ += count;
    const std::size_t whole = filled_ >> 3;
    if (static_cast<std::size_t>(end_ - next_) >= 8) {
      std::memcpy(next_, &pending_, 8);
      next_ += whole;
    } else {
      put_bytes(whole);
    }
    pending_ >>= 8 * whole;
    filled_ &= 7;
  }

  /// Like put(), for count <= 64.
  void put_wide(std::uint64_t bits, unsigned count) {
    if (count > 32) {
      put(bits & 0xFFFFFFFF, 32);
      bits >>= 32;
      count -= 32;
    }
    put(bits, count);
  }

  /// Appends the lowest `count` bits, count <= 28, `copies` times.
  void put_copies(std::uint64_t bits, unsigned count, std::uint64_t copies) {
    if (count == 0) return;
    std::uint64_t block = bits;
    std::uint64_t in_block = 1;
    for (; 2 * in_block * count <= 56 && 2 * in_block <= copies; in_block *= 2) {
      block |= block << (in_block * count);
    }
    for (; copies >= in_block; copies -= in_block) {
      put(block, static_cast<unsigned>(in_block) * count);
    }
    for (; copies > 0; --copies) put(bits, count);
  }

  /// Number of bits appended so far, including those that did not fit.
  std::uint64_t bit_count() const { return total_; }

  /// Pads the last byte with zeros and returns the number of bytes used. Call it once, at the end.
  std::size_t finish() {
    if (filled_ > 0) {
      put_bytes(1);
      filled_ = 0;
    }
    return static_cast<std::size_t>(next_ - begin_);
  }

  /// Whether all bits have fit into the span.
  bool ok() const { return ok_; }

 private:
  void put_bytes(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      if (next_ == end_) {
        ok_ = false;
        return;
      }
      *next_++ = static_cast<std::uint8_t>(pending_ >> (8 * i));
    }
  }

  std::uint8_t* begin_;
  std::uint8_t* next_;
  std::uint8_t* end_;
  std::uint64_t pending_ = 0;
  unsigned filled_ = 0;  // bits in pending_, fewer than 8 between calls
  std::uint64_t total_ = 0;
  bool ok_ = true;
};

/// Reads bits in the order in which BitWriter wrote them. Past the end it yields zeros; check
/// overrun() once per chunk.
class BitReader {
 public:
  explicit BitReader(std::span<const std::uint8_t> in)
      : next_(in.data()), end_(in.data() + in.size()) {}

  /// Returns the next 56 or more bits, the first one lowest, without consuming them.
  std::uint64_t peek() {
    if (end_ - next_ >= 8) {
      std::uint64_t word;
      std::memcpy(&word, next_, 8);
      window_ |= word << available_;
      next_ += (63 - available_) >> 3;
      available_ |= 56;
    } else {
      while (available_ >= 0 && available_ <= 56 && next_ != end_) {
        window_ |= static_cast<std::uint64_t>(*next_++) << available_;
        available_ += 8;
      }
    }
    return window_;
  }

  /// Consumes bits that the last peek() returned, at most 56 in total.
  void skip(unsigned count) {
    window_ >>= count;
    available_ -= static_cast<std::int64_t>(count);
  }

  /// Reads count <= 64 bits.
  std::uint64_t get(unsigned count) {
    if (count > 32) {
      const std::uint64_t low = get(32);
      return low | get(count - 32) << 32;
    }
    const std::uint64_t bits = low_bits(peek(), count);
    skip(count);
    return bits;
  }

  /// Whether more bits were consumed than the input has.
  bool overrun() const { return available_ < 0; }

  /// Whether every byte was consumed and the padding bits of the last one are zero.
  bool at_end() {
    peek();
    return next_ == end_ && available_ >= 0 && available_ < 8 && window_ == 0;
  }

 private:
  const std::uint8_t* next_;
  const std::uint8_t* end_;
  std::uint64_t window_ = 0;
  std::int64_t available_ = 0;  // bits in window_; negative after an overrun
};

}  // namespace gradwire
