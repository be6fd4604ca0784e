#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/bit_io.hpp"

namespace gradwire {

/// Elias-omega code words (Elias, IEEE Trans. Inf. Theory 21(2), 1975) of the numbers below
/// kSmallOmegas, which can be written in one step.
struct SmallOmega {
  std::uint32_t bits;
  std::uint32_t length;
};
inline constexpr std::uint64_t kSmallOmegas = 1024;
extern const std::array<SmallOmega, kSmallOmegas> kSmallOmega;

/// The groups of the numbers up to 64, without the closing 0. A number of d + 1 digits begins with
/// the groups of d; its digits follow.
extern const std::array<SmallOmega, 65> kOmegaGroups;

/// The bits of x in reverse order.
constexpr std::uint64_t reverse_bits(std::uint64_t x) {
  const auto swap = [&](unsigned distance, std::uint64_t mask) {
    x = (x & mask) << distance | (x >> distance & mask);
  };
  swap(1, 0x5555555555555555);
  swap(2, 0x3333333333333333);
  swap(4, 0x0F0F0F0F0F0F0F0F);
  swap(8, 0x00FF00FF00FF00FF);
  swap(16, 0x0000FFFF0000FFFF);
  return x << 32 | x >> 32;
}

// The rare cases take writers and readers by value and return them: an object whose address is
// known elsewhere cannot stay in registers in the loops that use it.
BitWriter write_large_omega(BitWriter writer, std::uint64_t n);

/// Appends the Elias-omega code word of n >= 1.
inline void write_omega(BitWriter& writer, std::uint64_t n) {
  if (n < kSmallOmegas) {
    writer.put(kSmallOmega[n].bits, kSmallOmega[n].length);
  } else {
    writer = write_large_omega(writer, n);
  }
}

/// Indexed by the next kOmegaLookupBits bits: number << 8 | length of its code word, or 0 if the
/// code word is longer.
inline constexpr unsigned kOmegaLookupBits = 12;
extern const std::array<std::uint16_t, 1u << kOmegaLookupBits> kOmegaLookup;

/// Indexed by the next 6 bits, if they begin a code word that is not in kOmegaLookup: the length of
/// its first two groups, and the number of digits of the third.
struct OmegaStart {
  std::uint8_t length;
  std::uint8_t digits;
};
inline constexpr unsigned kOmegaStartBits = 6;
extern const std::array<OmegaStart, 1u << kOmegaStartBits> kOmegaStart;

struct OmegaFound {
  std::uint64_t n;
  unsigned length;  // of the code word
};

/// Finds the number whose code word comes first in the lowest 56 bits and is not in kOmegaLookup.
/// The length is 0 if the code word may be longer, or the number larger than 2^64. Not inline: the
/// loops that call it need its registers.
[[gnu::noinline]] inline OmegaFound find_omega(std::uint64_t bits) {
  unsigned used = kOmegaStart[bits & (kOmegaStart.size() - 1)].length;
  std::uint64_t digits = kOmegaStart[bits & (kOmegaStart.size() - 1)].digits;
  while (used + digits < 56) {
    const std::uint64_t n = reverse_bits(bits >> used) >> (64 - digits);
    used += static_cast<unsigned>(digits);
    if ((bits >> used & 1) == 0) return {n, used + 1};
    digits = n + 1;
  }
  return {0, 0};
}

struct OmegaRead {
  BitReader reader;
  std::uint64_t n;
};
OmegaRead read_large_omega(BitReader reader);

/// Reads the code word of a number below 2^64. Throws CorruptFrameError for a larger one.
inline std::uint64_t read_omega(BitReader& reader) {
  const std::uint64_t bits = reader.peek();
  const std::uint16_t entry = kOmegaLookup[bits & (kOmegaLookup.size() - 1)];
  if (entry == 0) {
    if (const OmegaFound found = find_omega(bits); found.length != 0) {
      reader.skip(found.length);
      return found.n;
    }
    const OmegaRead read = read_large_omega(reader);
    reader = read.reader;
    return read.n;
  }
  reader.skip(entry & 255);
  return static_cast<std::uint64_t>(entry >> 8);
}

/// A signed value s, which the paper maps to a number N >= 1: 2|s| if s < 0, otherwise 2s + 1. N
/// may need 65 bits, so it is stored as its upper bits, |s|, and its lowest bit, whether s >= 0.
struct MappedValue {
  std::uint64_t magnitude;
  bool non_negative;
};

BitWriter write_large_mapped(BitWriter writer, MappedValue value);

/// Appends two code words at once.
inline void write_both(BitWriter& writer, SmallOmega first, SmallOmega second) {
  writer.put(first.bits | std::uint64_t{second.bits} << first.length, first.length + second.length);
}

/// Appends the code word of a mapped value, then that of a run length; both at once if they are
/// small.
inline void write_mapped_run(BitWriter& writer, MappedValue value, std::uint64_t run) {
  const std::uint64_t n = 2 * value.magnitude + value.non_negative;
  if (value.magnitude < kSmallOmegas / 2 && run < kSmallOmegas) {
    return write_both(writer, kSmallOmega[n], kSmallOmega[run]);
  }
  constexpr std::uint64_t kOneStep = std::uint64_t{1} << 40;  // fewer than 56 bits
  if (value.magnitude == 0 || value.magnitude >= kOneStep) {
    writer = write_large_mapped(writer, value);
  } else {
    const auto digits = static_cast<unsigned>(std::bit_width(value.magnitude));
    const SmallOmega groups = kOmegaGroups[digits];
    const std::uint64_t bits = reverse_bits(value.magnitude) >> (64 - digits) |
                               std::uint64_t{value.non_negative} << digits;
    writer.put(groups.bits | bits << groups.length, groups.length + digits + 2);
  }
  write_omega(writer, run);
}
struct MappedRead {
  BitReader reader;
  MappedValue value;
};
MappedRead read_large_mapped(BitReader reader);

inline MappedValue read_mapped(BitReader& reader) {
  const std::uint64_t bits = reader.peek();
  const std::uint16_t entry = kOmegaLookup[bits & (kOmegaLookup.size() - 1)];
  if (entry == 0) {
    if (const OmegaFound found = find_omega(bits); found.length != 0) {
      reader.skip(found.length);
      return {found.n >> 1, (found.n & 1) != 0};
    }
    const MappedRead read = read_large_mapped(reader);
    reader = read.reader;
    return read.value;
  }
  reader.skip(entry & 255);
  return {static_cast<std::uint64_t>(entry >> 9), (entry >> 8 & 1) != 0};
}

}  // namespace gradwire
