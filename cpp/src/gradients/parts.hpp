#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradients/gradient_header.hpp"

namespace gradwire {

// The parts of gradient frames. Each part is a complete frame (FORMAT.md, section 9).

/// The scales of buckets, as a part if there are more than kFewScales. write_scales completes the
/// header; read_scales also returns scales that are in the header.
std::size_t max_scales_size(std::uint64_t scales, ScaleType type);
std::size_t write_scales(std::span<const float> scales, const Options& options,
                         GradientHeader& header, std::span<std::uint8_t> out);
/// Throws CorruptFrameError if the scales are invalid.
std::vector<float> read_scales(const ParsedGradient& gradient);

/// What quantizing makes of a gradient.
struct Quantized {
  std::vector<std::size_t> parts = {};  ///< sizes in bytes
  std::vector<float> scales = {};
  std::int32_t base = 0;    ///< powers
  std::uint64_t zeros = 0;  ///< signs: number of elements that are 0
};

class Signs;
std::size_t max_signs_size(std::uint64_t count);
Quantized write_signs(const Signs& signs, const Options& options, std::span<std::uint8_t> out);
/// out = scale * the values of the signs as float32, or out += that if `add`.
void read_signs(const ParsedGradient& parsed, float* out, bool add, float scale, int threads);

/// Gradients without loss, as planes of bytes.
std::size_t max_planes_size(const GradientView& gradient);
std::size_t compress_planes(const GradientView& gradient, const Options& options,
                            std::span<std::uint8_t> out);
/// Like compress_planes, for float32 values that are first rounded to nearest in `type`, which must
/// not be float64.
std::size_t compress_values(const GradientView& values, FloatType type, const Options& options,
                            std::span<std::uint8_t> out);
/// Writes the exact elements.
void decompress_planes(const ParsedGradient& parsed, std::span<std::uint8_t> out, int threads);
/// out = scale * the elements as float32, or out += that if `add`.
void read_planes(const ParsedGradient& parsed, float* out, bool add, float scale, int threads);

/// Throws std::invalid_argument unless `count` is at most 2^32 and the indices ascend strictly and
/// are below it.
void check_indices(std::span<const std::uint32_t> indices, std::uint64_t count);
/// Ascending indices, sent as gaps: the numbers of elements between them.
std::size_t max_gaps_size(std::size_t indices);
struct GapParts {
  std::size_t tokens;  ///< sizes of the two parts in bytes
  std::size_t bits;
};
GapParts write_gaps(std::span<const std::uint32_t> indices, const Options& options,
                    std::span<std::uint8_t> out);
std::vector<std::uint32_t> read_gaps(const GradientHeader& header,
                                     std::span<const std::uint8_t> tokens,
                                     std::span<const std::uint8_t> bits, int threads);

/// out = scale * the gradient of a parsed frame in float32, or out += that if `add`. The values of
/// sparse frames are read with it too.
void decompress_parsed(const ParsedGradient& parsed, std::span<float> out, bool add, float scale,
                       int threads);

}  // namespace gradwire
