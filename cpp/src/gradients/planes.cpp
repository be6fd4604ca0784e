// Floats without loss: byte k of each element is plane k, a frame of bytes (FORMAT.md,
// section 9.5).

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "element_source.hpp"
#include "executor.hpp"
#include "float_reader.hpp"
#include "gradwire/error.hpp"
#include "gradwire/frame.hpp"
#include "kernels/kernels.hpp"
#include "nonzeros.hpp"
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

/// Calls f(begin, size) for up to 16 parts of a gradient, evenly over it.
template <typename F>
void for_each_sample(std::uint64_t count, const F& f) {
  constexpr std::uint64_t kSamples = 16;
  const std::uint64_t samples = std::clamp<std::uint64_t>(count / kStep, 1, kSamples);
  for (std::uint64_t i = 0; i < samples; ++i) {
    const std::uint64_t begin = count / samples * i;
    f(begin, static_cast<std::size_t>(std::min<std::uint64_t>(kStep, count - begin)));
  }
}

/// Whether coding a plane is worth its time: by the entropy of a sample.
bool pays(const PlaneSource& plane, std::uint64_t count) {
  constexpr double kWorthwhile = 7.5;  // bits of a byte
  std::uint64_t counts[256] = {};
  std::uint8_t bytes[kStep];
  double total = 0;
  for_each_sample(count, [&](std::uint64_t begin, std::size_t size) {
    plane.preview(begin, begin + size, bytes);
    kernels().histogram(bytes, size, counts);
    total += static_cast<double>(size);
  });
  double bits = 0;
  for (const std::uint64_t n : counts) {
    const auto seen = static_cast<double>(n);
    if (n > 0) bits += seen * std::log2(total / seen);
  }
  return bits < kWorthwhile * total;
}

/// Whether enough elements of a sample are zero to leave them out.
bool has_zeros(const std::uint8_t* elements, std::uint64_t count, std::size_t width) {
  constexpr double kWorthwhile = 1.0 / 16;
  std::uint8_t bits[kStep / 8];
  std::uint64_t nonzeros = 0;
  std::uint64_t total = 0;
  for_each_sample(count, [&](std::uint64_t begin, std::size_t size) {
    nonzeros += kernels().floats.nonzero_bits(elements + begin * width, size, width, bits);
    total += size;
  });
  return static_cast<double>(total - nonzeros) > kWorthwhile * static_cast<double>(total);
}

/// Reads the elements of a frame, piece by piece.
class PlaneReader {
 public:
  explicit PlaneReader(const ParsedGradient& parsed) : header_(parsed.header) {
    for (const auto part : parsed.planes()) {
      planes_.emplace_back(part);
      const ParsedFrame& frame = planes_.back().frame();
      if (frame.codec->whole_runs || frame.borders != planes_[0].frame().borders) {
        throw CorruptFrameError("a gradient frame has planes of different chunks");
      }
    }
    begin_ = planes_[0].frame().borders;
    if (!header_.without_zeros) return;
    const ChunkReader reader(parsed.parts[0]);
    bits_.resize(static_cast<std::size_t>(reader.frame().count));
    for (std::size_t i = 0; i < reader.chunks(); ++i) {
      reader.decode(i, bits_.data() + reader.frame().borders[i]);
    }
    begin_ = places_of(bits_, header_.count, begin_);
  }

  /// Calls use(index of the first, number, bytes) for pieces of up to kPiece elements, on several
  /// threads, in any order.
  template <typename F>
  void for_each_piece(int threads, const F& use) const {
    if (planes_[0].chunks() == 0) return spread(0, header_.count, nullptr, use);
    for_each(planes_[0].chunks(), usable_threads(threads), [&](std::size_t i) {
      thread_local std::vector<std::uint8_t> elements;
      const std::size_t width = planes_.size();
      elements.resize(
          std::max(elements.size(), (planes_[0].chunk_elements(i) + kSpareNonzeros) * width));
      join_chunk(i, elements.data());
      spread(begin_[i], begin_[i + 1], elements.data(), use);
    });
  }

 private:
  void join_chunk(std::size_t i, std::uint8_t* out) const {
    thread_local std::array<std::vector<std::uint8_t>, kMostWidth> buffers;
    const std::uint8_t* bytes[kMostWidth];
    for (std::size_t k = 0; k < planes_.size(); ++k) bytes[k] = planes_[k].read(i, buffers[k]);
    kernels().floats.join(bytes, planes_[0].chunk_elements(i), planes_.size(), out);
  }

  template <typename F>
  void spread(std::uint64_t begin, std::uint64_t end, const std::uint8_t* elements,
              const F& use) const {
    const std::size_t width = planes_.size();
    alignas(kMostWidth) std::uint8_t piece[kPiece * kMostWidth];
    const std::uint8_t none[kSpareNonzeros * kMostWidth] = {};
    if (elements == nullptr) elements = none;
    for (std::uint64_t first = begin; first < end; first += kPiece) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, end - first));
      if (!header_.without_zeros) {
        use(first, size, elements + (first - begin) * width);
        continue;
      }
      elements +=
          width * kernels().floats.put_nonzeros(bits_.data(), first, size, width, elements, piece);
      use(first, size, piece);
    }
  }

  const GradientHeader& header_;
  std::vector<ChunkReader> planes_;
  std::vector<std::uint8_t> bits_;    // without zeros: which elements are not zero
  std::vector<std::uint64_t> begin_;  // first element of the gradient that a chunk has
};

}  // namespace

std::size_t max_planes_size(const GradientView& gradient) {
  const std::size_t width = item_size(gradient.type);
  return max_header_size(gradient.shape.size()) +
         (width + 1) * max_streamed_size(gradient.shape, DType::kUInt8);
}

std::size_t compress_planes(const GradientView& gradient, const Options& options,
                            std::span<std::uint8_t> out) {
  GradientHeader header;
  header.method = Method::kPlanes;
  header.type = gradient.type;
  header.checksum = options.checksum;
  header.shape.assign(gradient.shape.begin(), gradient.shape.end());
  const std::uint64_t count = element_count(gradient.shape, DType::kUInt8);
  const std::size_t width = item_size(gradient.type);
  const auto* elements = static_cast<const std::uint8_t*>(gradient.data);
  Options own;
  own.threads = options.threads;
  own.checksum = options.checksum;
  std::vector<std::size_t> sizes;
  std::size_t place = max_header_size(gradient.shape.size());
  Nonzeros nonzeros;
  header.sent = count;
  header.without_zeros = has_zeros(elements, count, width);
  if (header.without_zeros) {
    nonzeros = find_nonzeros(elements, count, width, usable_threads(options.threads));
    elements = nonzeros.elements.get();
    header.sent = nonzeros.count;
    const std::uint64_t bytes[] = {nonzeros.bits.size()};
    sizes.push_back(
        compress_into({nonzeros.bits.data(), DType::kUInt8, bytes}, own, out.subspan(place)));
    place += sizes.back();
  }
  for (std::size_t k = 0; k < width; ++k) {
    const std::vector<std::uint64_t> flat = {header.sent};
    const PlaneSource plane(elements, width, k);
    const auto write =
        header.sent > 0 && !pays(plane, header.sent) ? store_source : compress_source;
    sizes.push_back(write(plane, flat, DType::kUInt8, own, out.subspan(place)));
    place += sizes.back();
  }
  return put_header(header, sizes, out);
}

void decompress_planes(const ParsedGradient& parsed, std::span<std::uint8_t> out, int threads) {
  const std::size_t width = item_size(parsed.header.type);
  PlaneReader(parsed).for_each_piece(
      threads, [&](std::uint64_t first, std::size_t count, const std::uint8_t* elements) {
        std::memcpy(out.data() + first * width, elements, count * width);
      });
}

void read_planes(const ParsedGradient& parsed, float* out, bool add, float scale, int threads) {
  PlaneReader(parsed).for_each_piece(
      threads, [&](std::uint64_t first, std::size_t count, const std::uint8_t* elements) {
        const std::uint64_t shape[] = {count};
        float scratch[kPiece];
        const FloatReader reader({elements, parsed.header.type, shape}, {});
        const float* const x = reader.read(0, count, scratch);
        float* const sums = out + first;
        if (add) {
          for (std::size_t i = 0; i < count; ++i) sums[i] += scale * x[i];
        } else {
          for (std::size_t i = 0; i < count; ++i) sums[i] = scale * x[i];
        }
      });
}

}  // namespace gradwire
