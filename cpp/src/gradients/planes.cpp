// Floats without loss: byte k of each element is plane k, a frame of bytes (FORMAT.md,
// section 9.5).

#include <algorithm>
#include <array>
#include <cmath>

#include "element_source.hpp"
#include "executor.hpp"
#include "float_reader.hpp"
#include "gradwire/error.hpp"
#include "kernels/kernels.hpp"
#include "parts.hpp"
#include "streaming.hpp"

namespace gradwire {
namespace {

constexpr std::size_t kMostWidth = 8;
constexpr std::size_t kStep = 4096;  // elements split at once

/// One plane, on its way to the codec.
class PlaneSource final : public ElementSource {
 public:
  PlaneSource(const std::uint8_t* elements, std::size_t width, std::size_t plane)
      : elements_(elements), width_(width), plane_(plane) {}

  void preview(std::uint64_t begin, std::uint64_t end, std::uint8_t* out) const override {
    kernels().floats.plane(elements_ + begin * width_, static_cast<std::size_t>(end - begin),
                           width_, static_cast<unsigned>(plane_), out);
  }
  void take(std::uint64_t begin, std::uint64_t end, std::uint8_t* out) const override {
    preview(begin, end, out);
  }

 private:
  const std::uint8_t* elements_;
  std::size_t width_;
  std::size_t plane_;
};

/// Whether coding a plane is worth its time: by the entropy of a sample.
bool pays(const PlaneSource& plane, std::uint64_t count) {
  constexpr std::uint64_t kSamples = 16;
  constexpr double kWorthwhile = 7.9;  // bits of a byte
  std::uint64_t counts[256] = {};
  std::uint8_t bytes[kStep];
  const std::uint64_t samples = std::clamp<std::uint64_t>(count / kStep, 1, kSamples);
  double total = 0;
  for (std::uint64_t i = 0; i < samples; ++i) {
    const std::uint64_t begin = count / samples * i;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kStep, count - begin));
    plane.preview(begin, begin + size, bytes);
    kernels().histogram(bytes, size, counts);
    total += static_cast<double>(size);
  }
  double bits = 0;
  for (const std::uint64_t n : counts) {
    const auto seen = static_cast<double>(n);
    if (n > 0) bits += seen * std::log2(total / seen);
  }
  return bits < kWorthwhile * total;
}

std::vector<ChunkReader> open_planes(const ParsedGradient& parsed) {
  std::vector<ChunkReader> planes;
  for (const auto part : parsed.parts) {
    planes.emplace_back(part);
    const ParsedFrame& frame = planes.back().frame();
    if (frame.codec->whole_runs || frame.borders != planes[0].frame().borders) {
      throw CorruptFrameError("a gradient frame has planes of different chunks");
    }
  }
  return planes;
}

/// Writes the elements of chunk i.
void join_chunk(std::span<const ChunkReader> planes, std::size_t i, std::uint8_t* out) {
  thread_local std::array<std::vector<std::uint8_t>, kMostWidth> buffers;
  const std::uint8_t* bytes[kMostWidth];
  for (std::size_t k = 0; k < planes.size(); ++k) bytes[k] = planes[k].read(i, buffers[k]);
  kernels().floats.join(bytes, planes[0].chunk_elements(i), planes.size(), out);
}

}  // namespace

std::size_t max_planes_size(const GradientView& gradient) {
  const std::size_t width = item_size(gradient.type);
  return max_header_size(gradient.shape.size()) +
         width * max_streamed_size(gradient.shape, DType::kUInt8);
}

std::size_t compress_planes(const GradientView& gradient, const Options& options,
                            std::span<std::uint8_t> out) {
  const std::uint64_t count = element_count(gradient.shape, DType::kUInt8);
  const std::vector<std::uint64_t> flat = {count};
  const std::size_t width = item_size(gradient.type);
  const auto* const elements = static_cast<const std::uint8_t*>(gradient.data);
  Options own;
  own.threads = options.threads;
  own.checksum = options.checksum;
  std::array<std::size_t, kMostWidth> sizes;
  std::size_t place = max_header_size(gradient.shape.size());
  for (std::size_t k = 0; k < width; ++k) {
    const PlaneSource plane(elements, width, k);
    const auto write = count > 0 && !pays(plane, count) ? store_source : compress_source;
    sizes[k] = write(plane, flat, DType::kUInt8, own, out.subspan(place));
    place += sizes[k];
  }
  GradientHeader header;
  header.method = Method::kPlanes;
  header.type = gradient.type;
  header.checksum = options.checksum;
  header.shape.assign(gradient.shape.begin(), gradient.shape.end());
  return put_header(header, {sizes.data(), width}, out);
}

void decompress_planes(const ParsedGradient& parsed, std::span<std::uint8_t> out, int threads) {
  const std::size_t width = item_size(parsed.header.type);
  const std::vector<ChunkReader> planes = open_planes(parsed);
  for_each(planes[0].chunks(), usable_threads(threads), [&](std::size_t i) {
    join_chunk(planes, i, out.data() + planes[0].frame().borders[i] * width);
  });
}

void read_planes(const ParsedGradient& parsed, float* out, bool add, float scale, int threads) {
  const std::size_t width = item_size(parsed.header.type);
  const std::vector<ChunkReader> planes = open_planes(parsed);
  for_each(planes[0].chunks(), usable_threads(threads), [&](std::size_t i) {
    const std::size_t count = planes[0].chunk_elements(i);
    float* const sums = out + planes[0].frame().borders[i];
    thread_local std::vector<std::uint8_t> elements;
    elements.resize(std::max(elements.size(), count * width));
    join_chunk(planes, i, elements.data());
    const std::uint64_t shape[] = {count};
    const FloatReader reader({elements.data(), parsed.header.type, shape}, {});
    float scratch[kPiece];
    for (std::size_t first = 0; first < count; first += kPiece) {
      const std::size_t size = std::min(kPiece, count - first);
      const float* const x = reader.read(first, size, scratch);
      if (add) {
        for (std::size_t k = 0; k < size; ++k) sums[first + k] += scale * x[k];
      } else {
        for (std::size_t k = 0; k < size; ++k) sums[first + k] = scale * x[k];
      }
    }
  });
}

}  // namespace gradwire
