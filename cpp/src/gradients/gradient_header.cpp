#include "gradients/gradient_header.hpp"

#include <bit>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>

#include "base/crc32c.hpp"
#include "frame/frame_header.hpp"
#include "gradwire/error.hpp"

namespace gradwire {
namespace {

constexpr std::uint8_t kGradientVersion = 1;
constexpr std::size_t kFixedBytes = 7;
constexpr std::size_t kMaxVarint = 10;
constexpr std::uint8_t kMethods = 8;

bool has_many_scales(const GradientHeader& header) { return header.scale_count() > kFewScales; }

std::size_t part_count(const GradientHeader& header) {
  switch (header.method) {
    case Method::kLevels:
    case Method::kWideLevels:
    case Method::kSigns: return 1 + has_many_scales(header);
    case Method::kTernarySigns: return 2 + has_many_scales(header);
    case Method::kPowers:
    case Method::kRandom: return 1;
    case Method::kPlanes: return header.without_zeros + item_size(header.type);
    default: return 3;
  }
}

void append_u32(std::vector<std::uint8_t>& out, std::uint32_t n) {
  for (unsigned k = 0; k < 4; ++k) out.push_back(static_cast<std::uint8_t>(n >> (8 * k)));
}

/// The parameters of levels and signs.
void append_buckets(std::vector<std::uint8_t>& out, const GradientHeader& header) {
  append_varint(out, header.bucket_size);
  // A varint below 128 is one byte, which all other methods have here.
  append_varint(out, header.has_levels() ? header.levels : header.scales_per_bucket);
  out.push_back(static_cast<std::uint8_t>(header.scale_type));
  if (!has_many_scales(header)) {
    for (const float scale : header.few_scales) {
      append_u32(out, std::bit_cast<std::uint32_t>(scale));
    }
  } else if (header.scale_type == ScaleType::kLog8) {
    append_varint(out, header.first_scale);
  }
}

void append_parameters(std::vector<std::uint8_t>& out, const GradientHeader& header) {
  switch (header.method) {
    case Method::kLevels:
    case Method::kWideLevels:
    case Method::kSigns: return append_buckets(out, header);
    case Method::kTernarySigns:
      append_buckets(out, header);
      append_varint(out, header.sent);
      return;
    case Method::kPowers: out.push_back(header.base); return;
    case Method::kPlanes:
      out.push_back(header.without_zeros);
      if (header.without_zeros) append_varint(out, header.sent);
      return;
    case Method::kSparse: append_varint(out, header.sent); return;
    case Method::kRandom:
      append_varint(out, header.sent);
      append_varint(out, header.stream);
      return;
  }
}

[[noreturn]] void unsupported(const std::string& what, unsigned found) {
  throw UnsupportedFormatError("gradient frame has " + what + " " + std::to_string(found) +
                               ", which this version of gradwire does not know");
}

void check(bool holds, const char* message) {
  if (!holds) throw CorruptFrameError(message);
}

std::uint16_t read_number_of_levels(ByteReader& reader, const GradientHeader& header) {
  if (header.has_wide_levels()) {
    const std::uint64_t number = reader.varint();
    check(number >= 1 && number <= kMostLevels,
          "the wide levels of a gradient frame are not 1 to 32767");
    return static_cast<std::uint16_t>(number);
  }
  const std::uint8_t number = reader.byte();
  check(number >= 1 && number <= kMostNarrowLevels,
        "the levels of a gradient frame are not 1 to 127");
  return number;
}

/// The parameters of levels and signs.
void read_buckets(ByteReader& reader, GradientHeader& header) {
  header.bucket_size = reader.varint();
  check(header.bucket_size > 0, "a gradient frame has the bucket size 0");
  if (header.has_levels()) {
    header.levels = read_number_of_levels(reader, header);
  } else {
    header.scales_per_bucket = reader.byte();
    check(header.scales_per_bucket <= 2, "a gradient frame has more than 2 scales per bucket");
  }
  const std::uint8_t type = reader.byte();
  if (type > static_cast<std::uint8_t>(ScaleType::kLog8)) unsupported("scale type", type);
  header.scale_type = static_cast<ScaleType>(type);
  if (!has_many_scales(header)) {
    header.few_scales.resize(static_cast<std::size_t>(header.scale_count()));
    for (float& scale : header.few_scales) {
      scale = std::bit_cast<float>(reader.u32());
      check(is_scale(scale), "a gradient frame has an invalid scale");
    }
  } else if (header.scale_type == ScaleType::kLog8) {
    const std::uint64_t first = reader.varint();
    check(first < kLog8Steps, "a gradient frame has an invalid first scale");
    header.first_scale = static_cast<std::uint32_t>(first);
  }
}

/// Reads the number of elements that are not left out.
void read_sent(ByteReader& reader, GradientHeader& header) {
  header.sent = reader.varint();
  check(header.sent <= header.count, "a gradient frame has more elements than its gradient");
}

void read_parameters(ByteReader& reader, GradientHeader& header) {
  switch (header.method) {
    case Method::kLevels:
    case Method::kWideLevels:
    case Method::kSigns: return read_buckets(reader, header);
    case Method::kTernarySigns: read_buckets(reader, header); return read_sent(reader, header);
    case Method::kPowers: header.base = reader.byte(); return;
    case Method::kPlanes: {
      const std::uint8_t without_zeros = reader.byte();
      if (without_zeros > 1) unsupported("kind of planes", without_zeros);
      header.without_zeros = without_zeros;
      if (without_zeros) read_sent(reader, header);
      return;
    }
    case Method::kSparse:
    case Method::kRandom:
      header.sent = reader.varint();
      if (header.method == Method::kRandom) header.stream = reader.varint();
      check(header.sent <= header.count, "a sparse frame has more elements than its gradient");
      check(header.count <= std::uint64_t{1} << 32,
            "the gradient of a sparse frame has more than 2^32 elements");
      return;
  }
}

GradientHeader parse_header(ByteReader& reader) {
  const auto magic = reader.take(2);
  check(magic[0] == kMagic[0] && magic[1] == kGradientMagic,
        "not a gradient frame: the first two bytes are not 'GF'");
  const std::uint8_t version = reader.byte();
  if (version != kGradientVersion) unsupported("version", version);
  GradientHeader header;
  const std::uint8_t flags = reader.byte();
  if (flags & ~kChecksumFlag) unsupported("flags", flags);
  header.checksum = flags & kChecksumFlag;
  const std::uint8_t method = reader.byte();
  if (method >= kMethods) unsupported("method", method);
  header.method = static_cast<Method>(method);
  const std::uint8_t type = reader.byte();
  if (type >= kFloatTypeCount) unsupported("element type", type);
  header.type = static_cast<FloatType>(type);
  const std::uint8_t dimensions = reader.byte();
  if (dimensions > kMaxDimensions) unsupported("number of dimensions", dimensions);
  for (unsigned i = 0; i < dimensions; ++i) header.shape.push_back(reader.varint());
  try {
    header.count = element_count(header.shape, DType::kInt64);
  } catch (const std::length_error&) {
    throw CorruptFrameError("a gradient frame declares more than 2^59 elements");
  }
  header.sent = header.count;
  read_parameters(reader, header);
  return header;
}

void check_part(std::span<const std::uint8_t> part, DType dtype, std::uint64_t count) {
  const ParsedFrame frame = parse_frame(part, Extent::kPart);
  check(frame.dtype == dtype && frame.count == count,
        "a part of a gradient frame has the wrong type or number of elements");
}

/// In most frames, some part must have an element or a bit for each element of the gradient, so
/// that a short frame cannot declare a long gradient. Sparse frames have no such part, but their
/// gradients have at most 2^32 elements.
void check_parts(const ParsedGradient& parsed) {
  const GradientHeader& header = parsed.header;
  const std::uint64_t bytes_of_bits = bit_bytes(header.count);
  switch (header.method) {
    case Method::kLevels:
    case Method::kPowers: return check_part(parsed.parts[0], DType::kInt8, header.count);
    case Method::kWideLevels: return check_part(parsed.parts[0], DType::kInt16, header.count);
    case Method::kSigns: return check_part(parsed.parts[0], DType::kUInt8, bytes_of_bits);
    case Method::kTernarySigns:
      check_part(parsed.parts[0], DType::kUInt8, bytes_of_bits);
      return check_part(parsed.parts[1], DType::kUInt8, bit_bytes(header.sent));
    case Method::kPlanes:
      if (header.without_zeros) check_part(parsed.parts[0], DType::kUInt8, bytes_of_bits);
      for (const auto part : parsed.planes()) check_part(part, DType::kUInt8, header.sent);
      return;
    case Method::kSparse:
    case Method::kRandom: return;
  }
}

}  // namespace

std::size_t max_header_size(std::size_t dimensions) {
  constexpr std::size_t kParameters = 2 * kMaxVarint + 2 + kFewScales * sizeof(float);
  return kFixedBytes + (dimensions + kMostParts) * kMaxVarint + kParameters + kChecksumBytes;
}

std::vector<std::uint8_t> header_bytes(const GradientHeader& header,
                                       std::span<const std::size_t> parts) {
  std::vector<std::uint8_t> bytes = {
      kMagic[0],
      kGradientMagic,
      kGradientVersion,
      header.checksum ? kChecksumFlag : std::uint8_t{0},
      static_cast<std::uint8_t>(header.method),
      static_cast<std::uint8_t>(header.type),
      static_cast<std::uint8_t>(header.shape.size()),
  };
  for (const std::uint64_t dimension : header.shape) append_varint(bytes, dimension);
  append_parameters(bytes, header);
  for (const std::size_t size : parts) append_varint(bytes, size);
  if (header.checksum) append_u32(bytes, Crc32c(bytes).value());
  return bytes;
}

std::size_t put_header(const GradientHeader& header, std::span<const std::size_t> parts,
                       std::size_t place, std::span<std::uint8_t> out) {
  const std::vector<std::uint8_t> bytes = header_bytes(header, parts);
  const std::size_t total = std::accumulate(parts.begin(), parts.end(), std::size_t{0});
  if (place != bytes.size()) {
    std::memmove(out.data() + bytes.size(), out.data() + place, total);
  }
  std::memcpy(out.data(), bytes.data(), bytes.size());
  return bytes.size() + total;
}

ParsedGradient parse_gradient(std::span<const std::uint8_t> frame, Extent extent) {
  ByteReader reader(frame, extent);
  ParsedGradient parsed;
  parsed.header = parse_header(reader);
  std::vector<std::uint64_t> sizes(part_count(parsed.header));
  for (std::uint64_t& size : sizes) size = reader.varint();
  const Crc32c crc(frame.first(frame.size() - reader.left()));
  if (parsed.header.checksum) {
    check(reader.u32() == crc.value(), "gradient frame is damaged: its checksum does not match");
  }
  for (const std::uint64_t size : sizes) parsed.parts.push_back(reader.take(size));
  check(reader.left() == 0, "bytes follow the end of a gradient frame");
  check_parts(parsed);
  return parsed;
}

}  // namespace gradwire
