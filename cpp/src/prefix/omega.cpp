#include "prefix/omega.hpp"

#include <cstring>

#include "gradwire/error.hpp"

namespace gradwire {
namespace {

/// The lowest `count` bits in reverse order: the first bit of a group is its highest.
std::uint64_t reverse(std::uint64_t bits, unsigned count) {
  return count == 0 ? 0 : reverse_bits(bits) >> (64 - count);
}

unsigned width(std::uint64_t n) { return static_cast<unsigned>(std::bit_width(n)); }

/// Writes the groups of n, without the closing 0; n = 1 has no groups.
void write_groups(BitWriter& writer, std::uint64_t n) {
  if (n <= 1) return;
  write_groups(writer, width(n) - 1);
  writer.put_wide(reverse(n, width(n)), width(n));
}

std::array<SmallOmega, kSmallOmegas> make_small_omegas() {
  std::array<SmallOmega, kSmallOmegas> words{};
  for (std::uint64_t n = 1; n < kSmallOmegas; ++n) {
    std::uint8_t bytes[8] = {};
    BitWriter writer(bytes);
    writer = write_large_omega(writer, n);
    writer.finish();
    std::memcpy(&words[n].bits, bytes, 4);
    words[n].length = static_cast<std::uint32_t>(writer.bit_count());
  }
  return words;
}

std::array<SmallOmega, 65> make_omega_groups() {
  std::array<SmallOmega, 65> groups{};
  for (std::uint64_t n = 1; n < groups.size(); ++n) {
    groups[n] = {kSmallOmega[n].bits, kSmallOmega[n].length - 1};
  }
  return groups;
}

std::array<OmegaStart, 1u << kOmegaStartBits> make_omega_start() {
  std::array<OmegaStart, 1u << kOmegaStartBits> starts{};
  for (std::uint64_t bits = 0; bits < starts.size(); ++bits) {
    const unsigned second = 2 + static_cast<unsigned>(reverse(bits, 2) & 1);  // the first group, 1x
    const unsigned digits = second + 1;
    starts[bits] = {static_cast<std::uint8_t>(2 + digits),
                    static_cast<std::uint8_t>(1 + reverse(bits >> 2, digits))};
  }
  return starts;
}

std::array<std::uint16_t, 1u << kOmegaLookupBits> make_omega_lookup() {
  std::array<std::uint16_t, 1u << kOmegaLookupBits> table{};
  for (std::size_t n = 1; kSmallOmega[n].length <= kOmegaLookupBits; ++n) {
    const std::uint32_t length = kSmallOmega[n].length;
    for (std::size_t i = kSmallOmega[n].bits; i < table.size(); i += std::size_t{1} << length) {
      table[i] = static_cast<std::uint16_t>(n << 8 | length);
    }
  }
  return table;
}

/// A number of up to 65 bits.
struct Wide {
  std::uint64_t low;
  bool bit64;
};

/// Reads one code word bit by bit, as it is defined.
Wide read_groups(BitReader& reader) {
  Wide n{1, false};
  while (reader.get(1) == 1) {
    if (n.low > 64 || n.bit64) throw CorruptFrameError("an Elias-omega number exceeds 65 bits");
    const unsigned count = static_cast<unsigned>(n.low);
    const std::uint64_t rest = reverse(reader.get(count), count);
    n = count == 64 ? Wide{rest, true} : Wide{rest | std::uint64_t{1} << count, false};
  }
  return n;
}

}  // namespace

const std::array<SmallOmega, kSmallOmegas> kSmallOmega = make_small_omegas();
const std::array<SmallOmega, 65> kOmegaGroups = make_omega_groups();
const std::array<OmegaStart, 1u << kOmegaStartBits> kOmegaStart = make_omega_start();
const std::array<std::uint16_t, 1u << kOmegaLookupBits> kOmegaLookup = make_omega_lookup();

BitWriter write_large_omega(BitWriter writer, std::uint64_t n) {
  write_groups(writer, n);
  writer.put(0, 1);
  return writer;
}

OmegaRead read_large_omega(BitReader reader) {
  const Wide n = read_groups(reader);
  if (n.bit64) throw CorruptFrameError("an Elias-omega number exceeds 64 bits");
  return {reader, n.low};
}

BitWriter write_large_mapped(BitWriter writer, MappedValue value) {
  if (value.magnitude != 0) {
    const unsigned bits = width(value.magnitude);  // width of the mapped number, minus 1
    write_groups(writer, bits);
    writer.put_wide(reverse(value.magnitude, bits), bits);
    writer.put(value.non_negative, 1);
  }
  writer.put(0, 1);
  return writer;
}

MappedRead read_large_mapped(BitReader reader) {
  const Wide n = read_groups(reader);
  return {reader, {n.low >> 1 | std::uint64_t{n.bit64} << 63, (n.low & 1) == 1}};
}

}  // namespace gradwire
