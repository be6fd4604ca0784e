#include "prefix/prefix_code.hpp"

#include <doctest/doctest.h>

#include <queue>

#include "gradwire/error.hpp"
#include "prefix/code_lengths.hpp"

using namespace gradwire;

namespace {

/// Cost of an optimal code, by merging.
std::uint64_t huffman_cost(const std::vector<std::uint64_t>& weights) {
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> heap(
      weights.begin(), weights.end());
  std::uint64_t cost = 0;
  while (heap.size() > 1) {
    std::uint64_t merged = heap.top();
    heap.pop();
    merged += heap.top();
    heap.pop();
    cost += merged;
    heap.push(merged);
  }
  return cost;
}

std::uint64_t cost(const std::vector<std::uint64_t>& weights,
                   const std::vector<std::uint8_t>& lengths) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) bits += weights[i] * lengths[i];
  return bits;
}

}  // namespace

TEST_CASE("lengths are optimal, complete and limited") {
  std::vector<std::uint64_t> weights;
  for (std::size_t n = 2; n < 600; n = n * 5 / 4 + 1) {
    for (const double factor : {1.0, 0.99, 0.7, 0.5, 0.3}) {
      weights.clear();
      double w = 1e12;
      for (std::size_t i = 0; i < n; ++i, w *= factor) {
        weights.push_back(static_cast<std::uint64_t>(w) + 1);
      }
      for (const double allowance : {kOptimalCode, kSmallCode, kFastCode}) {
        const auto lengths = code_lengths(weights, allowance);
        const PrefixCode code(lengths, PrefixCode::kNeverRead);  // throws if it is not complete
        CHECK(code.max_length() <= kMaxCodeLength);
        const double ratio = static_cast<double>(cost(weights, lengths)) /
                             static_cast<double>(huffman_cost(weights));
        CHECK(ratio >= 1);
        CHECK(ratio <= 1.0002 + allowance);
      }
    }
  }
}

TEST_CASE("fast codes have short words") {
  std::vector<std::uint64_t> weights;  // whose best code has long words
  for (double w = 1e7; w >= 1; w *= 0.65) weights.push_back(static_cast<std::uint64_t>(w));
  const auto longest = [&](double allowance) {
    return PrefixCode(code_lengths(weights, allowance), PrefixCode::kNeverRead).max_length();
  };
  CHECK(longest(kOptimalCode) > 14);
  CHECK(longest(kFastCode) <= kLookupBits);
}

TEST_CASE("one symbol has the empty code word") {
  CHECK(code_lengths(std::vector<std::uint64_t>{9}, kFastCode) == std::vector<std::uint8_t>{0});
  CHECK(PrefixCode({0}, 1).max_length() == 0);
}

TEST_CASE("weights of 0 count as 1") {
  const auto lengths = code_lengths(std::vector<std::uint64_t>{0, 5, 0}, kOptimalCode);
  CHECK(lengths == std::vector<std::uint8_t>{2, 1, 2});
}

TEST_CASE("words are canonical") {
  const PrefixCode code({2, 1, 3, 3},
                        PrefixCode::kNeverRead);  // 10, 0, 110, 111; the first bit is the lowest
  CHECK(code.word(0) == 0b01);
  CHECK(code.word(1) == 0b0);
  CHECK(code.word(2) == 0b011);
  CHECK(code.word(3) == 0b111);
}

TEST_CASE("lengths that are no complete code raise") {
  for (const std::vector<std::uint8_t>& lengths : std::vector<std::vector<std::uint8_t>>{
           {}, {1}, {1, 2}, {1, 1, 1}, {0, 1}, {25, 1}, {2, 2, 2}}) {
    CHECK_THROWS_AS(PrefixCode(lengths, 1), CorruptFrameError);
  }
}

TEST_CASE("words longer than 24 bits raise, even in a complete code") {
  std::vector<std::uint8_t> lengths;
  for (std::uint8_t l = 1; l <= kMaxCodeLength + 1; ++l) lengths.push_back(l);
  lengths.push_back(kMaxCodeLength + 1);
  CHECK_THROWS_WITH_AS(PrefixCode(lengths, 1),
                       "code book has a code word of 25 bits; 1 to 24 bits are allowed",
                       CorruptFrameError);
}

TEST_CASE("words up to the longest come back") {
  std::vector<std::uint8_t> lengths;
  for (std::uint8_t l = 1; l <= kMaxCodeLength; ++l) lengths.push_back(l);
  lengths.push_back(kMaxCodeLength);
  for (const std::uint64_t to_read : {0u, 1u, 5000u, 1u << 20}) {
    const PrefixCode code(lengths, to_read);
    std::vector<std::uint8_t> bytes(lengths.size() * 3);
    BitWriter writer(bytes);
    for (std::size_t i = 0; i < lengths.size(); ++i) code.write(writer, i);
    BitReader reader({bytes.data(), writer.finish()});
    for (std::uint32_t i = 0; i < lengths.size(); ++i) CHECK(code.read(reader) == i);
    CHECK(reader.at_end());
  }
}

TEST_CASE("words of all lengths are read back, whatever the size of the table") {
  for (const std::size_t symbols : {20u, 256u, 257u, 3000u, 60'000u}) {
    std::vector<std::uint64_t> weights;
    double w = 1e15;
    for (std::size_t i = 0; i < symbols; ++i, w *= 0.93) {
      weights.push_back(static_cast<std::uint64_t>(w) + 1);
    }
    const auto lengths = code_lengths(weights, kOptimalCode);
    for (const ExpectedWords to_read : {100u, 100'000u, 10'000'000u}) {
      const PrefixCode code(lengths, to_read);
      std::vector<std::uint8_t> bytes(symbols * 3 + 8);
      BitWriter writer(bytes);
      for (std::size_t i = 0; i < symbols; ++i) code.write(writer, i);
      BitReader reader({bytes.data(), writer.finish()});
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < symbols; ++i) wrong += code.read(reader) != i;
      CHECK(wrong == 0);
      CHECK(reader.at_end());
    }
  }
}
