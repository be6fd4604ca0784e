#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/bit_io.hpp"
#include "gradwire/error.hpp"

namespace gradwire {

/// Fills a chunk with elements, run by run, and never past its end.
template <typename T>
class RunFill {
 public:
  RunFill(std::uint8_t* out, std::size_t count) : next_(out), left_(count) {}

  static constexpr std::size_t kShort = 32 / sizeof(T);  ///< most elements of a short run

  bool done() const { return left_ == 0; }

  /// Number of elements that are still missing.
  std::size_t left() const { return left_; }

  /// Like put(), for a run of at most kShort elements if at least kShort are still missing.
  void put_short(T value, std::size_t run) {
    store_short(value);
    next_ += run * sizeof(T);
    left_ -= run;
  }

  /// Appends `value` `run` times. Throws CorruptFrameError if the chunk has no room for that.
  void put(T value, std::uint64_t run) {
    if (run > left_) throw CorruptFrameError("a run extends past the end of its chunk");
    if (run <= kShort && left_ >= kShort) {  // one store of fixed size is faster than a loop
      store_short(value);
    } else if constexpr (sizeof(T) == 1) {
      std::memset(next_, value, static_cast<std::size_t>(run));
    } else {
      put_long(next_, value, static_cast<std::size_t>(run));
    }
    next_ += run * sizeof(T);
    left_ -= run;
  }

  /// Throws CorruptFrameError unless the chunk is full and its bits are used up exactly.
  void finish(BitReader& reader) const {
    if (reader.overrun() || !done()) {
      throw CorruptFrameError("the code words of a chunk end before it is full");
    }
    if (!reader.at_end())
      throw CorruptFrameError("extra bits follow the last code word of a chunk");
  }

 private:
  void store_short(T value) { store_block(next_, value); }

  static void store_block(std::uint8_t* out, T value) {
    if constexpr (sizeof(T) == 1) {
      std::memset(out, value, kShort);
    } else {
      T block[kShort];
      std::fill_n(block, kShort, value);
      std::memcpy(out, block, sizeof(block));
    }
  }

  /// Writes whole blocks, of which the last two may overlap. Not inline: the loops that call put()
  /// seldom need it.
  [[gnu::noinline]] static void put_long(std::uint8_t* out, T value, std::size_t run) {
    if (run < kShort) {
      for (std::size_t i = 0; i < run; ++i) std::memcpy(out + i * sizeof(T), &value, sizeof(T));
    } else {
      for (std::size_t i = 0; i < run - kShort; i += kShort) {
        store_block(out + i * sizeof(T), value);
      }
      store_block(out + (run - kShort) * sizeof(T), value);
    }
  }

  std::uint8_t* next_;
  std::size_t left_;  // elements
};

}  // namespace gradwire
