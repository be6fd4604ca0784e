#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "gradients/gradient_header.hpp"

namespace gradwire {

// The parts of gradient frames, each a frame of its own (FORMAT.md, section 9).

/// The scales of buckets, more than kFewScales; read_scales reads fewer too.
std::size_t max_scales_size(std::uint64_t scales, ScaleType type);
std::size_t write_scales(std::span<const float> scales, const Options& options,
                         GradientHeader& header, std::span<std::uint8_t> out);
/// Throws CorruptFrameError if they are not scales.
std::vector<float> read_scales(const ParsedGradient& gradient);

/// Signs. Writing them tells the header whether there are zeros; the sizes of the parts are given.
class Signs;
std::size_t max_signs_size(std::uint64_t count);
std::vector<std::size_t> write_signs(const Signs& signs, const Options& options,
                                     GradientHeader& header, std::span<std::uint8_t> out);
/// scale * the signs' values as float32.
void read_signs(const ParsedGradient& parsed, float* out, bool add, float scale, int threads);

/// Gradients without loss, byte by byte: in planes.
std::size_t max_planes_size(const GradientView& gradient);
std::size_t compress_planes(const GradientView& gradient, const Options& options,
                            std::span<std::uint8_t> out);
/// The same for float32 values as another type, to the nearest; not float64.
std::size_t compress_values(const GradientView& values, FloatType type, const Options& options,
                            std::span<std::uint8_t> out);
/// The exact elements.
void decompress_planes(const ParsedGradient& parsed, std::span<std::uint8_t> out, int threads);
/// scale * the elements as float32.
void read_planes(const ParsedGradient& parsed, float* out, bool add, float scale, int threads);

/// Throws std::invalid_argument unless they ascend and stay below `count`, which is at most 2^32.
void check_indices(std::span<const std::uint32_t> indices, std::uint64_t count);
/// Ascending indices as the numbers of elements between them.
std::size_t max_gaps_size(std::size_t indices);
struct GapParts {
  std::size_t tokens;  ///< sizes of the two parts
  std::size_t bits;
};
GapParts write_gaps(std::span<const std::uint32_t> indices, const Options& options,
                    std::span<std::uint8_t> out);
std::vector<std::uint32_t> read_gaps(const GradientHeader& header,
                                     std::span<const std::uint8_t> tokens,
                                     std::span<const std::uint8_t> bits, int threads);

/// scale * gradient of a frame whose parts are its own, in float32; for values of sparse frames.
void decompress_parsed(const ParsedGradient& parsed, std::span<float> out, bool add, float scale,
                       int threads);

}  // namespace gradwire
