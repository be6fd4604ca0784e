#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/byte_io.hpp"
#include "gradients/bucket_scales.hpp"
#include "gradwire/gradient.hpp"

namespace gradwire {

inline constexpr std::size_t kMostParts = 9;  // largest number of parts of a gradient frame
inline constexpr std::size_t kFewScales = 8;  // largest number of scales that the header holds

/// What comes before the parts of a gradient frame (FORMAT.md, section 9.1).
struct GradientHeader {
  Method method = Method::kLevels;
  FloatType type = FloatType::kFloat32;
  bool checksum = true;
  std::vector<std::uint64_t> shape;
  std::uint64_t count = 0;
  // Levels and signs.
  std::uint64_t bucket_size = 1;
  std::uint16_t levels = 1;
  std::uint8_t scales_per_bucket = 1;
  ScaleType scale_type = ScaleType::kFloat32;
  std::vector<float> few_scales;  ///< all scales, if there are at most kFewScales
  std::uint32_t first_scale = 0;  ///< the step of code 1, if there are more, of type log8
  std::uint8_t base = 0;          ///< powers
  bool without_zeros = false;     ///< planes: they hold only the elements that are not zero
  /// Sparse, random, ternary signs, planes without zeros: number of elements that are not left out.
  std::uint64_t sent = 0;
  std::uint64_t stream = 0;  ///< random: the stream that gives the indices

  bool has_levels() const { return method == Method::kLevels || method == Method::kWideLevels; }
  bool has_wide_levels() const { return method == Method::kWideLevels; }
  std::uint64_t scale_count() const { return bucket_count(count, bucket_size) * scales_per_bucket; }
};

/// Number of bytes that hold `bits` bits.
constexpr std::uint64_t bit_bytes(std::uint64_t bits) { return bits / 8 + (bits % 8 != 0); }

/// Upper bound of the size of a header in bytes.
std::size_t max_header_size(std::size_t dimensions);

/// Makes a header that gives the sizes of the parts behind it.
std::vector<std::uint8_t> header_bytes(const GradientHeader& header,
                                       std::span<const std::size_t> parts);

/// Writes the header and moves the parts, which lie one after the other from out[place] on, to its
/// end. Returns the size of the frame.
std::size_t put_header(const GradientHeader& header, std::span<const std::size_t> parts,
                       std::size_t place, std::span<std::uint8_t> out);

struct ParsedGradient {
  GradientHeader header;
  std::vector<std::span<const std::uint8_t>> parts;

  /// kPlanes only: all parts except the bits that tell which elements are not zero.
  std::span<const std::span<const std::uint8_t>> planes() const {
    return std::span(parts).subspan(header.without_zeros);
  }
};

/// Splits a gradient frame and verifies the checksum of its header; the parts have their own.
ParsedGradient parse_gradient(std::span<const std::uint8_t> frame, Extent extent = Extent::kFrame);

}  // namespace gradwire
