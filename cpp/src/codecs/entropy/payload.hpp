#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace gradwire {

/// A growing sequence of bytes, written to a given place or, if that is too small, to memory of its
/// own.
class Payload {
 public:
  explicit Payload(std::span<std::uint8_t> place) : place_(place) {}

  std::span<const std::uint8_t> bytes() const { return place_.first(size_); }
  /// Room where more bytes may be written; call grow() with the number of bytes written.
  std::span<std::uint8_t> rest() const { return place_.subspan(size_); }
  std::span<std::uint8_t> rest(std::size_t at_least) {
    if (place_.size() - size_ < at_least) move_to_memory(size_ + at_least);
    return rest();
  }
  void grow(std::size_t more) { size_ += more; }
  void push_back(std::uint8_t byte) { append({&byte, 1}); }
  /// Copies all to `out`, unless it is there already. Returns the size, or nullopt if `out` is too
  /// small.
  std::optional<std::size_t> copy_to(std::span<std::uint8_t> out) const {
    if (size_ > out.size()) return std::nullopt;
    if (place_.data() != out.data()) std::copy_n(place_.begin(), size_, out.begin());
    return size_;
  }
  void append(std::span<const std::uint8_t> more) {
    std::copy(more.begin(), more.end(), rest(more.size()).begin());
    grow(more.size());
  }

 private:
  void move_to_memory(std::size_t size) {
    const bool is_there = place_.data() == memory_.data();
    if (memory_.size() < size) memory_.resize(size + size / 2);
    if (!is_there) std::copy_n(place_.begin(), size_, memory_.begin());
    place_ = memory_;
  }

  std::span<std::uint8_t> place_;
  std::size_t size_ = 0;
  std::vector<std::uint8_t> memory_;
};

}  // namespace gradwire
