#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gradwire {

/// Element types; frames store these numbers (FORMAT.md, section 2).
enum class DType : std::uint8_t {
  kBool = 0,
  kInt8 = 1,
  kInt16 = 2,
  kInt32 = 3,
  kInt64 = 4,
  kUInt8 = 5,
  kUInt16 = 6,
  kUInt32 = 7,
  kUInt64 = 8,
};
inline constexpr std::uint8_t kDTypeCount = 9;

/// Bytes of one element: 1, 2, 4 or 8.
constexpr std::size_t item_size(DType dtype) {
  constexpr std::uint8_t kSizes[kDTypeCount] = {1, 1, 2, 4, 8, 1, 2, 4, 8};
  return kSizes[static_cast<std::uint8_t>(dtype)];
}

constexpr bool is_signed(DType dtype) { return dtype >= DType::kInt8 && dtype <= DType::kInt64; }

/// A C-contiguous array of integers, owned by the caller. An empty shape means one element.
struct ArrayView {
  const void* data = nullptr;
  DType dtype = DType::kInt8;
  std::span<const std::uint64_t> shape;
};

}  // namespace gradwire
