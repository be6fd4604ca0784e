#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/scratch.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {

inline constexpr std::size_t kMostWidth = 8;  ///< largest size of an element, in bytes

/// The elements of an array that are kept: all of them, or those of which any bit is 1.
class KeptElements {
 public:
  enum class Zeros : bool { kKept, kLeftOut };
  KeptElements(const std::uint8_t* elements, std::uint64_t count, std::size_t width, Zeros zeros,
               int threads);

  std::uint64_t count() const { return kept_; }
  std::size_t width() const { return width_; }
  /// If zeros are left out: a bit per element of the array, lowest first, that is 1 if it is kept.
  std::span<const std::uint8_t> bits() const { return bits_; }

  /// Number of elements that are treated together.
  static constexpr std::size_t kBlock = 1024;
  /// Calls use(bytes, number) for the kept elements `begin` to `end`, up to kBlock at a time.
  template <typename F>
  void for_each_piece(std::uint64_t begin, std::uint64_t end, const F& use) const;

 private:
  const std::uint8_t* elements_;
  std::uint64_t count_;
  std::size_t width_;
  std::uint64_t kept_;
  Scratch room_;  // for bits_
  std::span<std::uint8_t> bits_;
  std::vector<std::uint64_t> before_;  // number of kept elements before each block, and in all
};

template <typename F>
void KeptElements::for_each_piece(std::uint64_t begin, std::uint64_t end, const F& use) const {
  if (before_.empty()) {
    for (; begin < end; begin += kBlock) {
      use(elements_ + begin * width_,
          static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, end - begin)));
    }
    return;
  }
  std::uint8_t kept[kBlock * kMostWidth];
  const auto first = std::upper_bound(before_.begin(), before_.end(), begin) - 1;
  for (auto b = static_cast<std::size_t>(first - before_.begin()); begin < end; ++b) {
    const auto found = static_cast<std::size_t>(before_[b + 1] - before_[b]);
    if (found == 0) continue;
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(kBlock, count_ - b * kBlock));
    kernels().floats.keep_nonzeros(elements_ + b * kBlock * width_, size, width_, found, kept);
    const auto skipped = static_cast<std::size_t>(begin - before_[b]);
    const auto used =
        static_cast<std::size_t>(std::min<std::uint64_t>(found - skipped, end - begin));
    use(kept + skipped * width_, used);
    begin += used;
  }
}

/// `bits` tells which of `count` elements are not zero. `numbers` ascend from 0. Returns for each n
/// of `numbers` the index of nonzero element number n, counted from 0; but 0 for the first n, and
/// `count` for the last one. Throws CorruptFrameError unless there are numbers.back() ones and the
/// bits past `count` are 0.
std::vector<std::uint64_t> places_of(std::span<const std::uint8_t> bits, std::uint64_t count,
                                     std::span<const std::uint64_t> numbers);

}  // namespace gradwire
