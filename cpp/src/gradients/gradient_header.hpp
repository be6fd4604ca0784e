#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradients/bucket_scales.hpp"
#include "gradwire/gradient.hpp"

namespace gradwire {

inline constexpr std::size_t kMostParts = 9;  // of a gradient frame
inline constexpr std::size_t kFewScales = 8;  // so many stand in the header

/// What stands before the parts of a gradient frame (FORMAT.md, section 9.1).
struct GradientHeader {
  Method method = Method::kLevels;
  FloatType type = FloatType::kFloat32;
  bool checksum = true;
  std::vector<std::uint64_t> shape;
  std::uint64_t count = 0;
  // Levels and signs.
  std::uint64_t bucket_size = 1;
  std::uint8_t levels = 1;
  std::uint8_t scales_per_bucket = 1;
  ScaleType scale_type = ScaleType::kFloat32;
  std::vector<float> few_scales;  ///< all of them, if there are no more than kFewScales
  std::uint32_t first_scale = 0;  ///< otherwise, log8: the step of code 1
  std::uint8_t base = 0;          ///< powers
  bool without_zeros = false;     ///< planes: they hold the elements that are not zero
  /// Sparse, random, ternary signs, planes without zeros: elements that are not left out.
  std::uint64_t sent = 0;
  std::uint64_t stream = 0;  ///< random: of their indices

  std::uint64_t scale_count() const {
    const std::uint64_t buckets = count / bucket_size + (count % bucket_size != 0);
    return buckets * scales_per_bucket;
  }
};

/// Bytes of so many bits.
constexpr std::uint64_t bit_bytes(std::uint64_t bits) { return bits / 8 + (bits % 8 != 0); }

/// Upper bound of a header's bytes.
std::size_t max_header_size(std::size_t dimensions);

/// A header that tells the sizes of the parts behind it.
std::vector<std::uint8_t> header_bytes(const GradientHeader& header,
                                       std::span<const std::size_t> parts);

/// Writes the header, and moves the parts to its end: they lie one after the other from out[place]
/// on. Returns the size of the frame.
std::size_t put_header(const GradientHeader& header, std::span<const std::size_t> parts,
                       std::size_t place, std::span<std::uint8_t> out);

struct ParsedGradient {
  GradientHeader header;
  std::vector<std::span<const std::uint8_t>> parts;

  /// Of kPlanes: the parts but for the bits that tell which elements are not zero.
  std::span<const std::span<const std::uint8_t>> planes() const {
    return std::span(parts).subspan(header.without_zeros);
  }
};

/// Takes a gradient frame apart and verifies the header's checksum; parts have their own.
ParsedGradient parse_gradient(std::span<const std::uint8_t> frame);

}  // namespace gradwire
