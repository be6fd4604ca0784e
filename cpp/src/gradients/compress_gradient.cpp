#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <string>

#include "executor.hpp"
#include "frame_header.hpp"
#include "gradwire/error.hpp"
#include "gradwire/sparsify.hpp"
#include "kernels/kernels.hpp"
#include "parts.hpp"
#include "quantizing_source.hpp"
#include "streaming.hpp"

namespace gradwire {
namespace {

constexpr std::uint64_t kPart = std::uint64_t{1} << 18;  // elements that a thread quantizes at once

std::uint64_t count_of(const GradientView& gradient) {
  if (gradient.shape.size() > kMaxDimensions) {
    throw std::invalid_argument("a gradient may have 64 dimensions, not " +
                                std::to_string(gradient.shape.size()));
  }
  return element_count(gradient.shape, DType::kInt64);
}

/// Throws std::invalid_argument unless a decoder will know what to do with frames of such options.
void check_options(const Quantizer& quantizer) {
  const bool of_signs = quantizer.norm == Norm::kOne || quantizer.norm == Norm::kMean ||
                        quantizer.norm == Norm::kTwoMeans;
  switch (quantizer.method) {
    case Method::kLevels:
      if (quantizer.levels < 1 || quantizer.levels > 127) {
        throw std::invalid_argument("a quantizer has 1 to 127 levels, not " +
                                    std::to_string(quantizer.levels));
      }
      if (of_signs) throw std::invalid_argument("this norm is for signs, not for levels");
      return;
    case Method::kSigns:
      if (!of_signs) throw std::invalid_argument("this norm is for levels, not for signs");
      return;
    case Method::kPowers:
    case Method::kPlanes: return;
    default:
      throw std::invalid_argument("a quantizer has the method levels, signs, powers or planes");
  }
}

void check_room(std::size_t given, std::size_t needed) {
  if (given < needed) {
    throw BufferTooSmallError("the buffer has " + std::to_string(given) +
                              " bytes, compression may need " + std::to_string(needed));
  }
}

[[noreturn]] void report_nonfinite(const GradientView& gradient, const GradientOptions& options) {
  const auto first = FloatReader(gradient, options).first_nonfinite(count_of(gradient));
  throw std::invalid_argument(
      "the gradient is not finite as float32" +
      (first ? " at flat index " + std::to_string(*first) : std::string(" any more")) +
      "; pass nonfinite=\"zero\" to send such elements as 0");
}

/// 1 for each bit that is 0, -1 for one that is 1.
void unpack_signs(const std::uint8_t* bits, std::size_t count, std::int8_t* levels) {
  using Eight = std::array<std::int8_t, 8>;
  static constexpr auto kLevels = [] {
    std::array<Eight, 256> of_byte{};
    for (unsigned byte = 0; byte < 256; ++byte) {
      for (unsigned k = 0; k < 8; ++k) of_byte[byte][k] = (byte >> k & 1) != 0 ? -1 : 1;
    }
    return of_byte;
  }();
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) std::memcpy(levels + i, &kLevels[bits[i / 8]], 8);
  if (i < count) std::memcpy(levels + i, &kLevels[bits[i / 8]], count - i);
}

GradientHeader header_of(const GradientView& gradient, const GradientOptions& options) {
  GradientHeader header;
  header.method = options.quantizer.method;
  header.type = gradient.type;
  header.checksum = options.codec.checksum;
  header.shape.assign(gradient.shape.begin(), gradient.shape.end());
  header.count = header.sent = count_of(gradient);
  header.levels = static_cast<std::uint8_t>(options.quantizer.levels);
  header.scales_per_bucket = static_cast<std::uint8_t>(scales_per_bucket(options.quantizer.norm));
  header.scale_type = options.quantizer.scale_type;
  return header;
}

}  // namespace

std::size_t max_gradient_frame_size(const GradientView& gradient, const GradientOptions& options) {
  const Quantizer& quantizer = options.quantizer;
  check_options(quantizer);
  const std::uint64_t count = count_of(gradient);
  if (quantizer.method == Method::kPlanes) return max_planes_size(gradient);
  const std::uint64_t bucket = quantizer.bucket_size == 0 ? count + 1 : quantizer.bucket_size;
  const std::uint64_t scales = (count / bucket + 1) * scales_per_bucket(quantizer.norm);
  return max_header_size(gradient.shape.size()) + max_streamed_size(count) +
         max_scales_size(scales, quantizer.scale_type);
}

std::size_t compress_gradient(const GradientView& gradient, const GradientOptions& options,
                              std::span<std::uint8_t> out) {
  check_room(out.size(), max_gradient_frame_size(gradient, options));
  const Quantizer& quantizer = options.quantizer;
  if (quantizer.method == Method::kPlanes) return compress_planes(gradient, options.codec, out);
  GradientHeader header = header_of(gradient, options);
  const std::size_t head = max_header_size(gradient.shape.size());
  try {
    const QuantizingSource source(gradient, header.count, options);
    const StreamedArray levels[] = {{source.dtype(), true}};
    std::size_t parts[2];
    parts[0] =
        compress_source(source, levels, source.elements(), options.codec, out.subspan(head))[0];
    header.bucket_size = source.bucket_size();
    header.base = static_cast<std::uint8_t>(source.base());
    if (source.scales().size() <= kFewScales) {
      header.few_scales.assign(source.scales().begin(), source.scales().end());
      return put_header(header, {parts, 1}, head, out);
    }
    parts[1] = write_scales(source.scales(), options.codec, header, out.subspan(head + parts[0]));
    return put_header(header, parts, head, out);
  } catch (const NotFinite&) {
    report_nonfinite(gradient, options);
  }
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
    throw std::invalid_argument("values of sparse gradients take no residual");
  }
  check_indices(gradient.indices, header.count);
  const std::size_t head = max_header_size(gradient.shape.size());
  std::size_t place = head;
  std::vector<std::size_t> parts;
  if (gradient.random_stream) {
    const auto drawn = random_indices(header.count, kept, header.stream);
    if (!std::ranges::equal(drawn, gradient.indices)) {
      throw std::invalid_argument("the indices are not those of the random stream");
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
    throw std::invalid_argument("planes have no levels");
  }
  try {
    const std::uint64_t count = count_of(gradient);
    const QuantizingSource source(gradient, count, options);
    const auto parts = static_cast<std::size_t>((count + kPart - 1) / kPart);
    for_each(parts, usable_threads(options.codec.threads), [&](std::size_t i) {
      const std::uint64_t begin = i * kPart;
      const std::uint64_t end = std::min(count, begin + kPart);
      if (options.quantizer.method != Method::kSigns) {
        std::uint8_t* const outs[] = {reinterpret_cast<std::uint8_t*>(levels + begin)};
        return source.take(begin, end, outs);
      }
      std::uint8_t bits[kPart / 8];
      std::uint8_t* const outs[] = {bits};
      source.take(begin / 8, (end + 7) / 8, outs);
      unpack_signs(bits, static_cast<std::size_t>(end - begin), levels + begin);
    });
    scales.assign(source.scales().begin(), source.scales().end());
    if (options.quantizer.method == Method::kPowers) scales = {power_unit(source.base())};
  } catch (const NotFinite&) {
    report_nonfinite(gradient, options);
  }
}

}  // namespace gradwire
