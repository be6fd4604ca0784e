#include <doctest/doctest.h>

#include <cstddef>
#include <random>

#include "float_cases.hpp"

using namespace gradwire;

namespace {

struct Bits {
  std::vector<std::uint8_t> negative;
  std::vector<std::uint8_t> nonzero;
};

Bits bits_of_signs(const std::vector<float>& x) {
  const std::size_t bytes = (x.size() + 7) / 8;
  const auto both = same_everywhere([&](const FloatKernels& kernels) {
    std::vector<std::uint8_t> found(2 * bytes, 0xAA);
    kernels.signs(x.data(), x.size(), found.data(), found.data() + bytes);
    return found;
  });
  const auto middle = both.begin() + static_cast<std::ptrdiff_t>(bytes);
  return {{both.begin(), middle}, {middle, both.end()}};
}

bool bit(const std::vector<std::uint8_t>& bits, std::size_t i) { return bits[i / 8] >> i % 8 & 1; }

}  // namespace

TEST_CASE("signs and zeros of elements") {
  for (const std::size_t size : kSizes) {
    const std::vector<float> x = floats(size);
    const Bits bits = bits_of_signs(x);
    for (std::size_t i = 0; i < size; ++i) {
      CHECK(bit(bits.negative, i) == (x[i] < 0));
      CHECK(bit(bits.nonzero, i) == (x[i] != 0));
    }
    if (size % 8 == 0) continue;
    CHECK((bits.negative.back() >> size % 8) == 0);
    CHECK((bits.nonzero.back() >> size % 8) == 0);
  }
}

TEST_CASE("values of signs, from any bit on") {
  for (const std::size_t size : kSizes) {
    const std::vector<float> x = floats(size);
    const Bits bits = bits_of_signs(x);
    for (const std::size_t first : {std::size_t{0}, std::size_t{3}, std::size_t{8}}) {
      if (first > size) continue;
      for (const bool add : {false, true}) {
        for (const bool has_zeros : {false, true}) {
          const float value[2] = {0.25f, -0.7f};
          const std::uint8_t* const nonzero = has_zeros ? bits.nonzero.data() : nullptr;
          const auto found = same_everywhere([&](const FloatKernels& kernels) {
            std::vector<float> out(size - first, 0.1f);
            kernels.from_signs(bits.negative.data(), nonzero, first, size - first, value, add,
                               out.data());
            return out;
          });
          for (std::size_t i = first; i < size; ++i) {
            const float wanted = has_zeros && x[i] == 0 ? 0 : value[x[i] < 0];
            CHECK(found[i - first] == (add ? 0.1f + wanted : wanted));
          }
        }
      }
    }
  }
}

TEST_CASE("bits where a mask has ones are kept, and spread again") {
  std::mt19937_64 engine(5);
  for (const std::size_t count : {0, 1, 63, 64, 65, 127, 1000, 4096}) {
    for (const unsigned density : {0u, 1u, 2u, 3u, 4u}) {  // quarters
      const std::size_t bytes = (count + 63) / 64 * 8;
      std::vector<std::uint8_t> mask(bytes);
      std::vector<std::uint8_t> bits(bytes);
      for (std::uint8_t& byte : bits) byte = static_cast<std::uint8_t>(engine());
      std::size_t ones = 0;
      for (std::size_t i = 0; i < count; ++i) {
        if (engine() % 4 >= density) continue;
        mask[i / 8] = static_cast<std::uint8_t>(mask[i / 8] | 1u << i % 8);
        ++ones;
      }
      const auto kept = same_everywhere([&](const FloatKernels& kernels) {
        std::vector<std::uint8_t> found(bytes + 16, 0xAA);
        kernels.keep_bits(bits.data(), mask.data(), count, found.data());
        found.resize((ones + 7) / 8);
        return found;
      });
      std::size_t next = 0;
      for (std::size_t i = 0; i < count; ++i) {
        if (bit(mask, i)) CHECK(bit(kept, next++) == bit(bits, i));
      }
      if (ones % 8 != 0) CHECK((kept.back() >> ones % 8) == 0);
      const std::size_t skipped = bytes == 0 ? 0 : 8;  // the first word, in bytes
      std::size_t before = 0;
      for (std::size_t i = 0; i < 8 * skipped; ++i) before += bit(mask, i);
      const auto spread = same_everywhere([&](const FloatKernels& kernels) {
        std::vector<std::uint8_t> found(bytes - skipped);
        kernels.spread_bits(kept.data(), kept.data() + kept.size(), before, mask.data() + skipped,
                            count < 8 * skipped ? 0 : count - 8 * skipped, found.data());
        return found;
      });
      for (std::size_t i = 8 * skipped; i < count; ++i) {
        const bool wanted = bit(mask, i) && bit(bits, i);
        CHECK(bit(spread, i - 8 * skipped) == wanted);
      }
    }
  }
}
