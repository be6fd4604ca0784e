#include "codecs/entropy/judge_blocks.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

namespace gradwire {

double book_bits(const Form& form, Sampled sampled) {
  constexpr double kSizes = 24;
  std::vector<std::uint8_t> book;
  append_form(book, form);
  return (8 * static_cast<double>(book.size()) + kSizes) / sampled.share;
}

bool has_large_books(double bits, double of_books) {
  constexpr double kLarge = 512;  // bits
  constexpr double kMuch = 0.02;
  return of_books > kLarge && of_books > kMuch * bits;
}

namespace {

/// The share of bytes that would differ from the byte before if they were in no order.
double runs_by_chance(const ByteSample& sample) {
  const double size = static_cast<double>(sample.bytes.size());
  double equal = 0;
  for (const std::uint64_t count : sample.histogram) {
    equal += static_cast<double>(count) / size * (static_cast<double>(count) / size);
  }
  return 1 - equal;
}

/// Bits of bytes in runs: of the values, and of the lengths by their powers of two and plain bits.
double run_bits(const Elements& bytes) {
  std::array<std::uint64_t, 256> values{};
  std::array<std::uint64_t, 65> lengths{};
  double plain = 0;
  for_each_run<std::uint8_t>(bytes, [&](std::size_t first, std::size_t length) {
    ++values[bytes.data[first]];
    const auto width = static_cast<std::size_t>(std::bit_width(length));
    ++lengths[width];
    plain += static_cast<double>(width - 1);
  });
  return information(values) + information(lengths) + plain;
}

/// Bits of the differences of neighbors.
double difference_bits(const Elements& bytes) {
  std::array<std::uint64_t, 256> changes{};
  for (std::size_t i = 1; i < bytes.count; ++i) {
    ++changes[static_cast<std::uint8_t>(bytes.data[i] - bytes.data[i - 1])];
  }
  return information(changes);
}

/// As much of a sample as tells enough: pieces of it, more where few bytes are not zero.
constexpr std::size_t kPiece = 1024;
Elements some_of(const ByteSample& sample, const Scratch& room) {
  constexpr std::size_t kFewestPieces = 8;
  constexpr std::size_t kFewestOthers = 256;
  const std::size_t all = sample.bytes.size() / kPiece;
  const std::size_t others = sample.bytes.size() - largest(sample.histogram);
  const std::size_t taken =
      std::max(kFewestPieces, kFewestOthers * all / std::max<std::size_t>(1, others));
  if (taken >= all) return {sample.bytes.data(), sample.bytes.size(), DType::kInt8};
  for (std::size_t i = 0; i < taken; ++i) {
    std::memcpy(room.data() + i * kPiece, sample.bytes.data() + all * i / taken * kPiece, kPiece);
  }
  return {room.data(), taken * kPiece, DType::kInt8};
}

}  // namespace

bool are_near(const ByteSample& sample, Sampled sampled, const FittedBlocks& blocks) {
  const Form form = form_of(blocks.model, DType::kUInt8);
  return blocks.bits <= kNear * information(sample.histogram) + 64 &&
         !has_large_books(blocks.bits, book_bits(form, sampled));
}

bool may_pay(const ByteSample& sample, const FittedBlocks& blocks) {
  constexpr double kByChance = 0.95;  // runs for each one that chance makes, from which none pay
  if (blocks.entropy < kMuchLess * blocks.bits) return true;
  const Scratch room(sample.bytes.size());
  const Elements some = some_of(sample, room);
  const double size = static_cast<double>(some.count);
  const double all = static_cast<double>(sample.bytes.size());
  const double zeros = static_cast<double>(largest(sample.histogram));
  const double runs = static_cast<double>(count_runs(some));
  if (runs < kByChance * runs_by_chance(sample) * size) {
    // Bits of blocks for as many bytes that are not zero: a few rows may have nearly all of these.
    const std::ptrdiff_t own_zeros = std::count(some.data, some.data + some.count, 0);
    const double others = size - static_cast<double>(own_zeros);
    if (run_bits(some) < kSaving * blocks.bits * others / (all - zeros)) return true;
  }
  return zeros < kMostZeros * all && difference_bits(some) < kMuchLess * blocks.bits * size / all;
}

}  // namespace gradwire
