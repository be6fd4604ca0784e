// Scales of buckets, as codes of the log8 grid or as floats in planes (FORMAT.md, section 9.2).

#include <algorithm>
#include <bit>

#include "frame/chunk_reader.hpp"
#include "frame/frame_writer.hpp"
#include "gradients/parts.hpp"
#include "gradwire/error.hpp"
#include "gradwire/frame.hpp"

namespace gradwire {
namespace {

Options scale_options(const Options& options) {
  Options own;
  own.threads = 1;
  own.checksum = options.checksum;
  return own;
}

/// Whether all codes fit in bytes.
bool are_bytes(const Log8Codes& codes) {
  return std::ranges::all_of(codes.code, [](std::uint16_t code) { return code < 256; });
}

std::vector<float> read_log8(const GradientHeader& header, std::span<const std::uint8_t> part,
                             std::uint64_t count) {
  const ChunkReader reader(part, Checksum::kVerified, Extent::kPart);
  const DType dtype = reader.frame().dtype;
  if ((dtype != DType::kUInt8 && dtype != DType::kUInt16) || reader.frame().count != count) {
    throw CorruptFrameError("the number or type of the scales does not match the gradient frame");
  }
  std::vector<float> scales(static_cast<std::size_t>(count));
  reader.for_each_chunk(1, [&](std::size_t begin, const Elements& chunk) {
    for (std::size_t i = 0; i < chunk.count; ++i) {
      const std::uint32_t code =
          dtype == DType::kUInt8 ? load<std::uint8_t>(chunk, i) : load<std::uint16_t>(chunk, i);
      if (code == 0) continue;
      if (code > kLog8Steps - header.first_scale) {
        throw CorruptFrameError("a gradient frame has an invalid scale");
      }
      scales[begin + i] = log8_scale(header.first_scale + code - 1);
    }
  });
  return scales;
}

}  // namespace

std::size_t max_scales_size(std::uint64_t scales, ScaleType type) {
  const std::uint64_t shape[] = {scales};
  if (type == ScaleType::kLog8) return max_compressed_size({nullptr, DType::kUInt16, shape});
  const bool single = type == ScaleType::kFloat32;
  return max_planes_size({nullptr, single ? FloatType::kFloat32 : FloatType::kBFloat16, shape});
}

std::size_t write_scales(std::span<const float> scales, const Options& options,
                         GradientHeader& header, std::span<std::uint8_t> out) {
  const ScaleType type = header.scale_type;
  const std::uint64_t shape[] = {scales.size()};
  const Options own = scale_options(options);
  if (type == ScaleType::kLog8) {
    const Log8Codes codes = log8_codes(scales);
    header.first_scale = codes.first;
    if (!are_bytes(codes))
      return compress_into({codes.code.data(), DType::kUInt16, shape}, own, out);
    const std::vector<std::uint8_t> bytes(codes.code.begin(), codes.code.end());
    FrameWriter writer({bytes.data(), DType::kUInt8, shape}, own, out);
    writer.set_minor();
    return writer.write();
  }
  if (type == ScaleType::kFloat32) {
    return compress_planes({scales.data(), FloatType::kFloat32, shape}, own, out);
  }
  std::vector<std::uint16_t> halves(scales.size());
  std::transform(scales.begin(), scales.end(), halves.begin(), [](float s) {
    return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(s) >> 16);
  });
  return compress_planes({halves.data(), FloatType::kBFloat16, shape}, own, out);
}

std::vector<float> read_scales(const ParsedGradient& gradient) {
  const GradientHeader& header = gradient.header;
  const std::uint64_t count = header.scale_count();
  if (count <= kFewScales) return header.few_scales;
  const std::span<const std::uint8_t> part = gradient.parts.back();
  if (header.scale_type == ScaleType::kLog8) return read_log8(header, part, count);
  const ParsedGradient parsed = parse_gradient(part, Extent::kPart);
  const bool single = header.scale_type == ScaleType::kFloat32;
  if (parsed.header.method != Method::kPlanes || parsed.header.count != count ||
      parsed.header.type != (single ? FloatType::kFloat32 : FloatType::kBFloat16)) {
    throw CorruptFrameError("the number or type of the scales does not match the gradient frame");
  }
  std::vector<float> scales(static_cast<std::size_t>(count));
  decompress_parsed(parsed, scales, false, 1, 1);
  if (!std::ranges::all_of(scales, is_scale)) {
    throw CorruptFrameError("a gradient frame has an invalid scale");
  }
  return scales;
}

}  // namespace gradwire
