#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "base/bit_io.hpp"

using gradwire::BitReader;
using gradwire::BitWriter;
using gradwire::low_bits;

TEST_CASE("what is written is read back") {
  std::mt19937_64 random(1);
  for (int round = 0; round < 200; ++round) {
    std::vector<std::pair<std::uint64_t, unsigned>> fields;
    std::uint64_t bits = 0;
    for (int i = 0; i < 50; ++i) {
      const unsigned count = static_cast<unsigned>(random() % 65);
      fields.emplace_back(low_bits(random(), count), count);
      bits += count;
    }
    std::vector<std::uint8_t> bytes((bits + 7) / 8);
    BitWriter writer(bytes);
    for (const auto& [value, count] : fields) writer.put_wide(value, count);
    CHECK(writer.finish() == bytes.size());
    CHECK(writer.ok());
    CHECK(writer.bit_count() == bits);
    BitReader reader(bytes);
    for (const auto& [value, count] : fields) CHECK(reader.get(count) == value);
    CHECK(reader.at_end());
    CHECK_FALSE(reader.overrun());
  }
}

TEST_CASE("the first bit is the lowest of the first byte") {
  std::uint8_t bytes[2] = {};
  BitWriter writer(bytes);
  writer.put(1, 1);
  writer.put(0b10, 2);
  writer.put(0xFF, 8);
  CHECK(writer.finish() == 2);
  CHECK(bytes[0] == 0b11111101);
  CHECK(bytes[1] == 0b00000111);
}

TEST_CASE("overflow is sticky and writes nothing past the span") {
  std::uint8_t bytes[16];
  for (std::size_t room = 0; room < 12; ++room) {
    std::fill_n(bytes, 16, std::uint8_t{0xAA});
    BitWriter writer({bytes, room});
    for (int i = 0; i < 13; ++i) writer.put(0x5A, 8);
    writer.finish();
    CHECK_FALSE(writer.ok());
    CHECK(writer.bit_count() == 13 * 8);
    for (std::size_t i = room; i < 16; ++i) CHECK(bytes[i] == 0xAA);
  }
}

TEST_CASE("past the end there are zeros and overrun tells") {
  const std::uint8_t bytes[3] = {0xFF, 0xFF, 0xFF};
  BitReader reader(bytes);
  CHECK(reader.get(24) == 0xFFFFFF);
  CHECK_FALSE(reader.overrun());
  CHECK(reader.at_end());
  CHECK(reader.get(40) == 0);
  CHECK(reader.overrun());
  CHECK_FALSE(reader.at_end());
}

TEST_CASE("the end is exact") {
  const std::uint8_t bytes[2] = {0x0F, 0x00};
  BitReader reader(bytes);
  reader.get(4);
  CHECK_FALSE(reader.at_end());  // a whole byte is left
  reader.get(5);
  CHECK(reader.at_end());
  const std::uint8_t dirty[1] = {0x1F};
  BitReader other(dirty);
  other.get(4);
  CHECK_FALSE(other.at_end());  // a fill bit is not zero
}

TEST_CASE("copies are written like single words") {
  for (const unsigned count : {0u, 1u, 3u, 7u, 12u, 24u, 28u}) {
    const std::uint64_t word = low_bits(0x5A5A5A5, count);
    for (const std::uint64_t copies : {0u, 1u, 2u, 5u, 56u, 57u, 300u}) {
      std::vector<std::uint8_t> wanted(1200);
      std::vector<std::uint8_t> found(1200);
      BitWriter one_by_one(wanted);
      BitWriter at_once(found);
      one_by_one.put(1, 1);
      at_once.put(1, 1);
      for (std::uint64_t i = 0; i < copies; ++i) one_by_one.put(word, count);
      at_once.put_copies(word, count, copies);
      CHECK(at_once.bit_count() == one_by_one.bit_count());
      CHECK(at_once.finish() == one_by_one.finish());
      CHECK(found == wanted);
    }
  }
}
