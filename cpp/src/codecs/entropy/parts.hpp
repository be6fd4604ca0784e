#pragma once

#include <cstdint>
#include <span>

#include "base/elements.hpp"
#include "base/scratch.hpp"

namespace gradwire {

// The sequences that forms make (FORMAT.md, section 5.6), except for those of bins.

/// Two sequences of equal length. They refer to `room`.
struct TwoParts {
  Elements counts;  ///< gaps or lengths
  Elements values;
};

/// Bytes of room that the functions below need for sequences of this length and width.
constexpr std::size_t parts_room(std::size_t count, std::size_t width) {
  return (count + 8) * (sizeof(std::uint32_t) + width);
}

/// The elements other than `background`, and how many elements lie between each and the one before.
TwoParts split_gaps(const Elements& sequence, std::uint64_t background, const Scratch& room);
/// Throws CorruptFrameError if an element lies past the end.
void join_gaps(const TwoParts& parts, std::uint64_t background, std::uint8_t* out,
               std::size_t count);

/// The value of each run of equal elements, and its length less one.
TwoParts split_runs(const Elements& sequence, const Scratch& room);
/// Throws CorruptFrameError unless the runs fill `count` elements exactly.
void join_runs(const TwoParts& parts, std::uint8_t* out, std::size_t count);

/// Bytes below `base`, two at a time: the first, plus `base` times the second, or 0 at the end.
Elements pairs(const Elements& bytes, std::uint8_t base, const Scratch& room);
/// The reverse, for `count` bytes. Throws CorruptFrameError if a pair has no such bytes.
void split_pairs(const std::uint8_t* pairs, std::uint8_t base, std::uint8_t* out,
                 std::size_t count);

/// The difference of each element and the one before, or 0, modulo 2^(bits of an element).
Elements differences(const Elements& sequence, const Scratch& room);
/// The reverse, in place.
void add_up(std::uint8_t* elements, std::size_t count, DType dtype);

}  // namespace gradwire
