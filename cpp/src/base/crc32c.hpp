#pragma once

#include <cstdint>
#include <span>

namespace gradwire {

/// CRC-32C (Castagnoli; FORMAT.md, section 7) of some bytes. Parts that were summed apart, by
/// several threads or while each was in the cache, can be put together.
class Crc32c {
 public:
  Crc32c() = default;
  explicit Crc32c(std::span<const std::uint8_t> bytes);

  /// The sum becomes that of these bytes followed by more of them.
  void extend(std::span<const std::uint8_t> bytes);

  /// The sum becomes that of these bytes followed by those of `next`.
  void append(const Crc32c& next);

  std::uint32_t value() const { return value_; }

 private:
  std::uint32_t value_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace gradwire
