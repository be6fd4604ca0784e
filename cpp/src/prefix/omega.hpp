#pragma once

#include <array>
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

struct OmegaRead {
  BitReader reader;
  std::uint64_t n;
};
OmegaRead read_large_omega(BitReader reader);

/// Reads the code word of a number below 2^64. Throws CorruptFrameError for a larger one.
inline std::uint64_t read_omega(BitReader& reader) {
  const std::uint16_t entry = kOmegaLookup[reader.peek() & (kOmegaLookup.size() - 1)];
  if (entry == 0) {
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
  writer = write_large_mapped(writer, value);
  write_omega(writer, run);
}
struct MappedRead {
  BitReader reader;
  MappedValue value;
};
MappedRead read_large_mapped(BitReader reader);

inline MappedValue read_mapped(BitReader& reader) {
  const std::uint16_t entry = kOmegaLookup[reader.peek() & (kOmegaLookup.size() - 1)];
  if (entry == 0) {
    const MappedRead read = read_large_mapped(reader);
    reader = read.reader;
    return read.value;
  }
  reader.skip(entry & 255);
  return {static_cast<std::uint64_t>(entry >> 9), (entry >> 8 & 1) != 0};
}

}  // namespace gradwire
