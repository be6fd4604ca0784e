#include "nonzeros.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "executor.hpp"
#include "gradwire/error.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {
namespace {

constexpr std::uint64_t kPart = std::uint64_t{1} << 18;  // elements that a thread looks at

/// Up to 8 bytes as a number.
std::uint64_t word_of(std::span<const std::uint8_t> bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes.data(), std::min<std::size_t>(bytes.size(), sizeof(word)));
  return word;
}

/// The place of the n-th one of a word that has more than n.
unsigned place_of_one(std::uint64_t word, unsigned n) {
  for (; n > 0; --n) word &= word - 1;
  return static_cast<unsigned>(std::countr_zero(word));
}

}  // namespace

Nonzeros find_nonzeros(const std::uint8_t* elements, std::uint64_t count, std::size_t width,
                       int threads) {
  const auto parts = static_cast<std::size_t>((count + kPart - 1) / kPart);
  const auto size_of = [&](std::size_t i) {
    return static_cast<std::size_t>(std::min(kPart, count - i * kPart));
  };
  Nonzeros found;
  found.bits.resize(static_cast<std::size_t>((count + 7) / 8));
  std::vector<std::uint64_t> begin(parts + 1);
  for_each(parts, threads, [&](std::size_t i) {
    begin[i + 1] = kernels().floats.nonzero_bits(elements + i * kPart * width, size_of(i), width,
                                                 found.bits.data() + i * kPart / 8);
  });
  for (std::size_t i = 0; i < parts; ++i) begin[i + 1] += begin[i];
  found.count = begin[parts];
  found.elements.reset(new std::uint8_t[static_cast<std::size_t>(found.count) * width]);
  for_each(parts, threads, [&](std::size_t i) {
    kernels().floats.keep_nonzeros(elements + i * kPart * width, size_of(i), width,
                                   static_cast<std::size_t>(begin[i + 1] - begin[i]),
                                   found.elements.get() + begin[i] * width);
  });
  return found;
}

std::vector<std::uint64_t> places_of(std::span<const std::uint8_t> bits, std::uint64_t count,
                                     std::span<const std::uint64_t> numbers) {
  std::vector<std::uint64_t> places;
  std::uint64_t ones = 0;
  for (std::size_t i = 0; i < bits.size(); i += sizeof(std::uint64_t)) {
    const std::uint64_t word = word_of(bits.subspan(i));
    const auto more = static_cast<std::uint64_t>(std::popcount(word));
    while (places.size() + 1 < numbers.size() && numbers[places.size()] < ones + more) {
      const auto n = static_cast<unsigned>(numbers[places.size()] - ones);
      places.push_back(8 * std::uint64_t{i} + place_of_one(word, n));
    }
    ones += more;
  }
  const bool goes_past = count % 8 != 0 && bits.back() >> count % 8 != 0;
  if (goes_past || ones != numbers.back() || places.size() + 1 != numbers.size()) {
    throw CorruptFrameError("a gradient frame has another number of nonzero elements than it says");
  }
  if (!places.empty()) places[0] = 0;
  places.push_back(count);
  return places;
}

}  // namespace gradwire
