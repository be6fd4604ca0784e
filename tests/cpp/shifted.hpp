#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <vector>

/// Sizes of inputs to try: all small ones, and a large one.
inline std::vector<std::size_t> sizes_to_try() {
  std::vector<std::size_t> all;
  for (std::size_t size = 0; size <= 300; ++size) all.push_back(size);
  all.push_back(70001);
  return all;
}

/// Bytes at an address that is `shift` bytes past a multiple of 64, with no room behind them.
class Shifted {
 public:
  Shifted(const std::vector<std::uint8_t>& bytes, std::size_t shift)
      : room_(static_cast<std::uint8_t*>(operator new(shift + bytes.size(), kAlignment))),
        shift_(shift) {
    std::copy(bytes.begin(), bytes.end(), data());
  }
  Shifted(const Shifted&) = delete;
  Shifted& operator=(const Shifted&) = delete;
  ~Shifted() { operator delete(room_, kAlignment); }
  std::uint8_t* data() { return room_ + shift_; }

 private:
  static constexpr std::align_val_t kAlignment{64};
  std::uint8_t* room_;
  std::size_t shift_;
};
