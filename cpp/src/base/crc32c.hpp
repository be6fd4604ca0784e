#pragma once

#include <cstdint>
#include <span>

namespace gradwire {

/// CRC-32C (Castagnoli; FORMAT.md, section 7) of a sequence of bytes. The checksums of its parts
/// can be computed separately, by several threads or while each part is in the cache, and then
/// combined.
class Crc32c {
 public:
  Crc32c() = default;
  explicit Crc32c(std::span<const std::uint8_t> bytes);

  /// Appends `bytes` to the sequence.
  void extend(std::span<const std::uint8_t> bytes);

  /// Appends the sequence of `next` to this one.
  void append(const Crc32c& next);

  std::uint32_t value() const { return value_; }

 private:
  std::uint32_t value_ = 0;
  std::uint64_t size_ = 0;
};

}  // namespace gradwire
