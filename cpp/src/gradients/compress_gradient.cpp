#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>

#include "frame/chunked_frames.hpp"
#include "frame/frame_header.hpp"
#include "gradients/parts.hpp"
#include "gradients/pieces.hpp"
#include "gradients/quantizing_source.hpp"
#include "gradients/signs.hpp"
#include "gradwire/error.hpp"
#include "gradwire/sparsify.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {
namespace {

std::uint64_t count_of(const GradientView& gradient) {
  if (gradient.shape.size() > kMaxDimensions) {
    throw std::invalid_argument("a gradient can have at most 64 dimensions, not " +
                                std::to_string(gradient.shape.size()));
  }
  return element_count(gradient.shape, DType::kInt64);
}

/// Throws std::invalid_argument unless frames made with this quantizer can be decoded.
void check_options(const Quantizer& quantizer) {
  const bool of_signs = quantizer.norm == Norm::kOne || quantizer.norm == Norm::kMean ||
                        quantizer.norm == Norm::kTwoMeans;
  switch (quantizer.method) {
    case Method::kLevels:
      if (quantizer.levels < 1 || quantizer.levels > kMostLevels) {
        throw std::invalid_argument("levels must be 1 to " + std::to_string(kMostLevels) +
                                    ", got " + std::to_string(quantizer.levels));
      }
      if (of_signs) throw std::invalid_argument("levels need the norm kL2, kMax or kDeviations");
      return;
    case Method::kSigns:
      if (!of_signs) throw std::invalid_argument("signs need the norm kOne, kMean or kTwoMeans");
      return;
    case Method::kPowers:
    case Method::kPlanes: return;
    default:
      throw std::invalid_argument(
          "a quantizer needs the method kLevels, kSigns, kPowers or kPlanes");
  }
}

void check_room(std::size_t given, std::size_t needed) {
  if (given < needed) {
    throw BufferTooSmallError("the buffer has " + std::to_string(given) +
                              " bytes, but compression may need " + std::to_string(needed));
  }
}

/// -1, 0 or 1 for each element of a part.
void unpack_signs(const Signs& signs, std::uint64_t begin, std::uint64_t end, std::int8_t* levels) {
  static constexpr auto kOnes = [] {
    std::array<std::uint64_t, 256> of_byte{};
    for (unsigned byte = 0; byte < 256; ++byte) {
      for (unsigned k = 0; k < 8; ++k) of_byte[byte] |= std::uint64_t{byte >> k & 1} << (8 * k);
    }
    return of_byte;
  }();
  for (std::uint64_t i = begin; i < end; i += 8) {
    // In each of the eight bytes, 1 | 0xFE is -1.
    const std::uint64_t eight =
        kOnes[*signs.nonzero().at(i)] | kOnes[*signs.negative().at(i)] * 0xFE;
    std::memcpy(levels + i, &eight, static_cast<std::size_t>(std::min<std::uint64_t>(8, end - i)));
  }
}

/// Whether a quantizer makes levels of int16.
bool makes_wide_levels(const Quantizer& quantizer) {
  return quantizer.method == Method::kLevels && are_wide(quantizer.levels);
}

GradientHeader header_of(const GradientView& gradient, const GradientOptions& options) {
  const Quantizer& quantizer = options.quantizer;
  GradientHeader header;
  header.method = makes_wide_levels(quantizer) ? Method::kWideLevels : quantizer.method;
  header.type = gradient.type;
  header.checksum = options.codec.checksum;
  header.shape.assign(gradient.shape.begin(), gradient.shape.end());
  header.count = header.sent = count_of(gradient);
  header.bucket_size = used_bucket_size(quantizer.bucket_size, header.count);
  header.levels = static_cast<std::uint16_t>(quantizer.levels);
  header.scales_per_bucket = static_cast<std::uint8_t>(scales_per_bucket(quantizer.norm));
  header.scale_type = quantizer.scale_type;
  return header;
}

/// Throws std::invalid_argument unless there is a valid scale for each bucket.
void check_scales(std::span<const float> scales, const GradientHeader& header) {
  if (scales.size() != header.scale_count()) {
    throw std::invalid_argument(std::to_string(header.count) + " levels in buckets of " +
                                std::to_string(header.bucket_size) + " need " +
                                std::to_string(header.scale_count()) + " scales, got " +
                                std::to_string(scales.size()));
  }
  const auto wrong = std::ranges::find_if_not(scales, is_scale);
  if (wrong != scales.end()) {
    throw std::invalid_argument("scales must be finite and not negative, got " +
                                std::to_string(*wrong) + " at index " +
                                std::to_string(wrong - scales.begin()));
  }
}

std::size_t write_source(const QuantizingSource& source, const Options& options,
                         std::span<std::uint8_t> out) {
  const StreamedArray levels[] = {{source.dtype(), true}};
  return compress_source(source, levels, source.count(), options, out)[0];
}

/// Makes all levels of a source.
void take_all(const QuantizingSource& source, int threads, std::uint8_t* levels) {
  for_each_part(source.count(), threads, [&](std::size_t, std::uint64_t begin, std::uint64_t end) {
    std::uint8_t* const outs[] = {levels + begin * item_size(source.dtype())};
    source.take(begin, end, outs);
  });
}

std::vector<float> quantize_levels(const GradientView& gradient, const GradientOptions& options,
                                   void* levels) {
  const LevelSource source(gradient, options);
  take_all(source, options.codec.threads, static_cast<std::uint8_t*>(levels));
  return source.scales();
}

/// The levels of a caller, of the given shape.
ArrayView array_of(const LevelsView& gradient, std::span<const std::uint64_t> shape) {
  if (const auto* const wide = std::get_if<const std::int16_t*>(&gradient.levels)) {
    return {*wide, DType::kInt16, shape};
  }
  return {std::get<const std::int8_t*>(gradient.levels), DType::kInt8, shape};
}

/// Quantizes a gradient and writes its parts, except for the scales.
Quantized write_quantized(const GradientView& gradient, const GradientOptions& options,
                          std::span<std::uint8_t> out) {
  if (options.quantizer.method == Method::kSigns) {
    return write_signs(Signs(gradient, options), options.codec, out);
  }
  if (options.quantizer.method == Method::kPowers) {
    const PowerSource source(gradient, options);
    return {.parts = {write_source(source, options.codec, out)}, .base = source.base()};
  }
  const LevelSource source(gradient, options);
  const std::size_t size = write_source(source, options.codec, out);
  return {.parts = {size}, .scales = source.scales()};  // which are complete now
}

/// Writes the scales after the other parts, which begin at out[head], and the header before them.
/// Returns the size of the frame.
std::size_t put_scales_and_header(Quantized made, GradientHeader header, const Options& codec,
                                  std::size_t head, std::span<std::uint8_t> out) {
  if (made.scales.size() > kFewScales) {
    const auto place = std::accumulate(made.parts.begin(), made.parts.end(), head);
    made.parts.push_back(write_scales(made.scales, codec, header, out.subspan(place)));
  } else {
    header.few_scales = std::move(made.scales);
  }
  return put_header(header, made.parts, head, out);
}

}  // namespace

std::size_t max_gradient_frame_size(const GradientView& gradient, const GradientOptions& options) {
  const Quantizer& quantizer = options.quantizer;
  check_options(quantizer);
  const std::uint64_t count = count_of(gradient);
  if (quantizer.method == Method::kPlanes) return max_planes_size(gradient);
  const std::uint64_t bucket = used_bucket_size(quantizer.bucket_size, count);
  const std::uint64_t scales = bucket_count(count, bucket) * scales_per_bucket(quantizer.norm);
  const bool is_signs = quantizer.method == Method::kSigns;
  const DType dtype = makes_wide_levels(quantizer) ? DType::kInt16 : DType::kInt8;
  return max_header_size(gradient.shape.size()) +
         (is_signs ? max_signs_size(count) : max_streamed_size(count, dtype)) +
         max_scales_size(scales, quantizer.scale_type);
}

std::size_t compress_gradient(const GradientView& gradient, const GradientOptions& options,
                              std::span<std::uint8_t> out) {
  check_room(out.size(), max_gradient_frame_size(gradient, options));
  if (options.quantizer.method == Method::kPlanes) {
    return compress_planes(gradient, options.codec, out);
  }
  const std::size_t head = max_header_size(gradient.shape.size());
  Quantized made = write_quantized(gradient, options, out.subspan(head));
  GradientHeader header = header_of(gradient, options);
  if (made.zeros > 0) header.method = Method::kTernarySigns;
  header.sent -= made.zeros;
  header.base = static_cast<std::uint8_t>(made.base);
  return put_scales_and_header(std::move(made), std::move(header), options.codec, head, out);
}

std::size_t max_levels_frame_size(const LevelsView& gradient) {
  const std::uint64_t count = count_of({nullptr, gradient.type, gradient.shape});
  return max_header_size(gradient.shape.size()) +
         max_compressed_size(array_of(gradient, {&count, 1})) +
         max_scales_size(gradient.scales.size(), ScaleType::kFloat32);
}

std::size_t compress_levels(const LevelsView& gradient, const Options& codec,
                            std::span<std::uint8_t> out) {
  check_room(out.size(), max_levels_frame_size(gradient));
  GradientOptions options;
  options.codec = codec;
  // A decoder multiplies by scale / levels, which with one level is the scale itself.
  options.quantizer.levels = 1;
  options.quantizer.bucket_size = gradient.bucket_size;
  options.quantizer.scale_type = ScaleType::kFloat32;
  GradientHeader header = header_of({nullptr, gradient.type, gradient.shape}, options);
  check_scales(gradient.scales, header);
  const std::size_t head = max_header_size(gradient.shape.size());
  const ArrayView levels = array_of(gradient, {&header.count, 1});
  if (levels.dtype == DType::kInt16) header.method = Method::kWideLevels;
  const std::size_t size = compress_into(levels, codec, out.subspan(head));
  Quantized made{.parts = {size}, .scales = {gradient.scales.begin(), gradient.scales.end()}};
  return put_scales_and_header(std::move(made), std::move(header), codec, head, out);
}

std::size_t max_sparse_frame_size(const SparseView& gradient, const GradientOptions& options) {
  const std::uint64_t flat[] = {gradient.indices.size()};
  return max_header_size(gradient.shape.size()) + max_gaps_size(gradient.indices.size()) +
         max_gradient_frame_size({nullptr, FloatType::kFloat32, flat}, options);
}

std::size_t compress_sparse(const SparseView& gradient, FloatType value_type,
                            const GradientOptions& options, std::span<std::uint8_t> out,
                            float* sent) {
  const std::size_t kept = gradient.indices.size();
  const std::uint64_t flat[] = {kept};
  GradientHeader header = header_of({nullptr, gradient.type, gradient.shape}, options);
  header.method = gradient.random_stream ? Method::kRandom : Method::kSparse;
  header.sent = kept;
  header.stream = gradient.random_stream.value_or(0);
  check_room(out.size(), max_sparse_frame_size(gradient, options));
  if (options.feedback.residual != nullptr) {
    throw std::invalid_argument("compress_sparse takes no residual; leave it null");
  }
  check_indices(gradient.indices, header.count);
  const std::size_t head = max_header_size(gradient.shape.size());
  std::size_t place = head;
  std::vector<std::size_t> parts;
  if (gradient.random_stream) {
    const auto drawn = random_indices(header.count, kept, header.stream);
    if (!std::ranges::equal(drawn, gradient.indices)) {
      throw std::invalid_argument("the indices must be the random_indices() of the random stream");
    }
  } else {
    const GapParts gaps = write_gaps(gradient.indices, options.codec, out.subspan(place));
    parts = {gaps.tokens, gaps.bits};
    place += gaps.tokens + gaps.bits;
  }
  const GradientView values{gradient.values, FloatType::kFloat32, flat};
  const std::span<std::uint8_t> rest = out.subspan(place);
  parts.push_back(options.quantizer.method == Method::kPlanes
                      ? compress_values(values, value_type, options.codec, rest)
                      : compress_gradient(values, options, rest));
  if (sent != nullptr) {
    decompress_gradient(rest.first(parts.back()), {sent, kept}, false, 1, options.codec.threads);
  }
  return put_header(header, parts, head, out);
}

void quantize(const GradientView& gradient, const GradientOptions& options, std::int8_t* levels,
              std::vector<float>& scales) {
  check_options(options.quantizer);
  if (options.quantizer.method == Method::kPlanes) {
    throw std::invalid_argument("quantize takes the method kLevels, kSigns or kPowers");
  }
  if (makes_wide_levels(options.quantizer)) {
    throw std::invalid_argument("more than 127 levels need an array of int16");
  }
  const std::uint64_t count = count_of(gradient);
  if (options.quantizer.method == Method::kSigns) {
    const Signs signs(gradient, options);
    const auto unpack = [&](std::size_t, std::uint64_t begin, std::uint64_t end) {
      unpack_signs(signs, begin, end, levels);
    };
    for_each_part(count, options.codec.threads, unpack);
    scales = signs.scales();
  } else if (options.quantizer.method == Method::kPowers) {
    const PowerSource source(gradient, options);
    take_all(source, options.codec.threads, reinterpret_cast<std::uint8_t*>(levels));
    scales = {power_unit(source.base())};
  } else {
    scales = quantize_levels(gradient, options, levels);
  }
}

void quantize(const GradientView& gradient, const GradientOptions& options, std::int16_t* levels,
              std::vector<float>& scales) {
  check_options(options.quantizer);
  if (!makes_wide_levels(options.quantizer)) {
    throw std::invalid_argument("only kLevels with more than 127 levels take an array of int16");
  }
  scales = quantize_levels(gradient, options, levels);
}

}  // namespace gradwire
