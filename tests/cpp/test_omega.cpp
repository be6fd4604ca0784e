#include <doctest/doctest.h>

#include <string>

#include "gradwire/error.hpp"
#include "prefix/omega.hpp"

using namespace gradwire;

namespace {

template <typename Write>
std::string written(Write write) {
  std::uint8_t bytes[32] = {};
  BitWriter writer(bytes);
  write(writer);
  writer.finish();
  std::string bits;
  for (std::uint64_t i = 0; i < writer.bit_count(); ++i) {
    bits += (bytes[i / 8] >> (i % 8) & 1) ? '1' : '0';
  }
  return bits;
}

std::string omega(std::uint64_t n) {
  return written([&](BitWriter& writer) { write_omega(writer, n); });
}

}  // namespace

TEST_CASE("code words of Elias's paper") {
  CHECK(omega(1) == "0");
  CHECK(omega(2) == "100");
  CHECK(omega(3) == "110");
  CHECK(omega(4) == "101000");
  CHECK(omega(8) == "1110000");
  CHECK(omega(16) == "10100100000");
  CHECK(omega(100) == "1011011001000");
}

TEST_CASE("numbers of every size come back") {
  for (unsigned bits = 0; bits < 64; ++bits) {
    for (const std::uint64_t low : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0} >> 1}) {
      const std::uint64_t n = (std::uint64_t{1} << bits) + low_bits(low, bits);
      std::uint8_t bytes[32] = {};
      BitWriter writer(bytes);
      write_omega(writer, n);
      BitReader reader({bytes, writer.finish()});
      CHECK(read_omega(reader) == n);
      CHECK(reader.at_end());
    }
  }
}

TEST_CASE("numbers are read as the code word is defined, also where it is cut off") {
  for (std::uint64_t i = 1; i < 60'000; ++i) {
    const std::uint64_t n = i < 40'000 ? i : i * 0x9E3779B97F4A7C15 >> (i % 60) | 1;
    std::uint8_t bytes[32] = {};
    BitWriter writer(bytes);
    write_omega(writer, n);
    const std::size_t size = writer.finish();
    for (std::size_t cut = 0; cut < 2; ++cut) {
      BitReader reader({bytes, size - cut});
      const OmegaRead wanted = read_large_omega(reader);  // bit by bit
      REQUIRE(read_omega(reader) == wanted.n);
      REQUIRE(reader.overrun() == wanted.reader.overrun());
      if (cut == 0) REQUIRE(reader.at_end());
      if (cut == 0) REQUIRE(wanted.n == n);
    }
  }
}

TEST_CASE("mapped values, the extremes of 64 bits included") {
  const auto mapped = [](MappedValue value) {
    return written([&](BitWriter& writer) { write_mapped_run(writer, value, 1); });
  };
  CHECK(mapped({0, true}) == "00");
  CHECK(mapped({1, false}) == "1000");
  CHECK(mapped({1, true}) == "1100");
  CHECK(mapped({2, false}) == "1010000");
  const std::uint64_t top = std::uint64_t{1} << 63;
  for (const MappedValue value : {MappedValue{top, false},
                                  {top - 1, true},
                                  {~std::uint64_t{0}, true},
                                  {5000, false},
                                  {511, true},
                                  {512, false},
                                  {(1ull << 40) - 1, true},
                                  {1ull << 40, true}}) {
    std::uint8_t bytes[40] = {};
    BitWriter writer(bytes);
    write_mapped_run(writer, value, 77);
    BitReader reader({bytes, writer.finish()});
    const MappedValue back = read_mapped(reader);
    CHECK(back.magnitude == value.magnitude);
    CHECK(back.non_negative == value.non_negative);
    CHECK(read_omega(reader) == 77);
    CHECK(reader.at_end());
  }
}

TEST_CASE("numbers that are too large raise") {
  std::uint8_t ones[64];
  std::fill_n(ones, 64, std::uint8_t{0xFF});
  BitReader reader(ones);
  CHECK_THROWS_AS(read_omega(reader), CorruptFrameError);
}
