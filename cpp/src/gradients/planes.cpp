// Floats without loss: byte k of all elements is plane k, a frame of bytes (FORMAT.md,
// section 9.6).

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/element_source.hpp"
#include "base/executor.hpp"
#include "frame/chunk_reader.hpp"
#include "frame/chunked_frames.hpp"
#include "gradients/float_reader.hpp"
#include "gradients/nonzeros.hpp"
#include "gradients/parts.hpp"
#include "gradwire/error.hpp"
#include "gradwire/frame.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {
namespace {

constexpr std::size_t kStep = 4096;  // largest number of elements of a sample

/// The planes of elements, on their way to the codec.
class PlaneSource final : public ElementSource {
 public:
  explicit PlaneSource(const KeptElements& elements) : elements_(elements) {}

  void preview(std::size_t plane, std::uint64_t begin, std::uint64_t end,
               std::uint8_t* out) const override {
    std::uint8_t bytes[kMostWidth][KeptElements::kBlock];
    std::uint8_t* scratch[kMostWidth];
    for (std::size_t k = 0; k < kMostWidth; ++k) scratch[k] = bytes[k];
    elements_.for_each_piece(begin, end, [&](const std::uint8_t* piece, std::size_t size) {
      kernels().floats.split(piece, size, elements_.width(), scratch);
      out = std::copy_n(bytes[plane], size, out);
    });
  }

  void take(std::uint64_t begin, std::uint64_t end, std::uint8_t* const* outs) const override {
    const std::size_t width = elements_.width();
    std::uint8_t* next[kMostWidth];
    std::copy_n(outs, width, next);
    elements_.for_each_piece(begin, end, [&](const std::uint8_t* piece, std::size_t size) {
      kernels().floats.split(piece, size, width, next);
      for (std::size_t k = 0; k < width; ++k) next[k] += size;
    });
  }

 private:
  const KeptElements& elements_;
};

/// Calls f(begin, size) for up to 16 samples of a gradient, spread evenly over it.
template <typename F>
void for_each_sample(std::uint64_t count, const F& f) {
  constexpr std::uint64_t kSamples = 16;
  const std::uint64_t samples = std::clamp<std::uint64_t>(count / kStep, 1, kSamples);
  for (std::uint64_t i = 0; i < samples; ++i) {
    const std::uint64_t begin = count / samples * i;
    f(begin, static_cast<std::size_t>(std::min<std::uint64_t>(kStep, count - begin)));
  }
}

/// Decides by the entropy of samples which planes are worth coding; the others are stored raw.
std::vector<StreamedArray> choose_planes(const KeptElements& elements) {
  constexpr double kWorthwhile = 7.5;  // bits per byte
  const std::size_t width = elements.width();
  std::uint64_t counts[kMostWidth][256] = {};
  std::uint8_t bytes[kMostWidth][kStep];
  double total = 0;
  for_each_sample(elements.count(), [&](std::uint64_t begin, std::size_t size) {
    std::uint8_t* outs[kMostWidth];
    for (std::size_t k = 0; k < width; ++k) outs[k] = bytes[k];
    PlaneSource(elements).take(begin, begin + size, outs);
    for (std::size_t k = 0; k < width; ++k) kernels().bytes.histogram(bytes[k], size, counts[k]);
    total += static_cast<double>(size);
  });
  std::vector<StreamedArray> planes;
  for (std::size_t k = 0; k < width; ++k) {
    double bits = 0;
    for (const std::uint64_t n : counts[k]) {
      const auto seen = static_cast<double>(n);
      if (n > 0) bits += seen * std::log2(total / seen);
    }
    planes.push_back({DType::kUInt8, bits < kWorthwhile * total});
  }
  return planes;
}

/// Whether enough elements of a sample are zero to leave them out.
bool has_zeros(const std::uint8_t* elements, std::uint64_t count, std::size_t width) {
  constexpr double kWorthwhile = 1.0 / 16;  // share of zeros
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
        throw CorruptFrameError("the planes of a gradient frame do not have the same chunks");
      }
    }
    begin_ = planes_[0].frame().borders;
    if (!header_.without_zeros) return;
    const ChunkReader reader(parsed.parts[0]);
    bits_.resize(static_cast<std::size_t>(reader.frame().count));
    reader.decode_all(bits_.data(), 1);
    begin_ = places_of(bits_, header_.count, begin_);
  }

  /// Makes pieces of up to kPiece elements, on several threads and in any order. A piece is written
  /// to place(index of its first element, room for a piece). Then use(index of its first element,
  /// number of elements, where the piece is) is called.
  template <typename Place, typename Use>
  void for_each_piece(int threads, const Place& place, const Use& use) const {
    if (planes_[0].chunks() == 0) return spread(0, header_.count, nullptr, place, use);
    for_each(planes_[0].chunks(), usable_threads(threads), [&](std::size_t i) {
      const std::size_t size = planes_[0].chunk_elements(i);
      const Scratch room(planes_.size() * size);
      const std::uint8_t* bytes[kMostWidth];
      for (std::size_t k = 0; k < planes_.size(); ++k) {
        bytes[k] = planes_[k].read(i, room.data() + k * size);
      }
      spread(begin_[i], begin_[i + 1], bytes, place, use);
    });
  }

 private:
  /// Makes the elements `begin` to `end`. The planes hold the bytes of those that were sent.
  template <typename Place, typename Use>
  void spread(std::uint64_t begin, std::uint64_t end, const std::uint8_t** planes,
              const Place& place, const Use& use) const {
    const std::size_t width = planes_.size();
    alignas(kMostWidth) std::uint8_t room[kPiece * kMostWidth];
    for (std::uint64_t first = begin; first < end; first += kPiece) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, end - first));
      std::uint8_t* const piece = place(first, room);
      make_piece(first, size, width, planes, piece);
      use(first, size, piece);
    }
  }

  /// Makes one piece, and advances the planes past the elements that were sent.
  void make_piece(std::uint64_t first, std::size_t size, std::size_t width,
                  const std::uint8_t** planes, std::uint8_t* piece) const {
    const FloatKernels& floats = kernels().floats;
    const std::size_t there =
        header_.without_zeros ? floats.count_ones(bits_.data(), first, size) : size;
    if (there == 0) {
      std::memset(piece, 0, size * width);
      return;
    }
    if (there == size) {
      floats.join(planes, there, width, piece);
    } else {
      alignas(kMostWidth) std::uint8_t kept[(kPiece + kSpareNonzeros) * kMostWidth];
      floats.join(planes, there, width, kept);
      std::memset(kept + there * width, 0, kSpareNonzeros * width);
      floats.put_nonzeros(bits_.data(), first, size, width, kept, piece);
    }
    for (std::size_t k = 0; k < width; ++k) planes[k] += there;
  }

  const GradientHeader& header_;
  std::vector<ChunkReader> planes_;
  std::vector<std::uint8_t> bits_;    // if zeros are left out: which elements are not zero
  std::vector<std::uint64_t> begin_;  // index in the gradient of the first element of each chunk
};

}  // namespace

std::size_t max_planes_size(const GradientView& gradient) {
  const std::size_t width = item_size(gradient.type);
  const std::uint64_t count = element_count(gradient.shape, DType::kUInt8);
  return max_header_size(gradient.shape.size()) + (width + 1) * max_streamed_size(count);
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
  header.without_zeros = has_zeros(elements, count, width);
  const KeptElements kept(
      elements, count, width,
      header.without_zeros ? KeptElements::Zeros::kLeftOut : KeptElements::Zeros::kKept,
      usable_threads(options.threads));
  header.sent = kept.count();
  std::vector<std::size_t> sizes;
  if (header.without_zeros) {
    const std::uint64_t bytes[] = {kept.bits().size()};
    sizes.push_back(compress_into({kept.bits().data(), DType::kUInt8, bytes}, own, out));
  }
  // Guess the size of the header, so that the planes need not be moved, which saves time: their
  // real sizes mostly take as many bytes in the header as these guesses.
  std::vector<std::size_t> expected = sizes;
  expected.resize(sizes.size() + width, static_cast<std::size_t>(kept.count()));
  const std::size_t head = header_bytes(header, expected).size();
  std::size_t place = head;
  if (header.without_zeros) {
    std::memmove(out.data() + place, out.data(), sizes[0]);
    place += sizes[0];
  }
  const auto planes = compress_source(PlaneSource(kept), choose_planes(kept), kept.count(), own,
                                      out.subspan(place));
  sizes.insert(sizes.end(), planes.begin(), planes.end());
  return put_header(header, sizes, head, out);
}

void decompress_planes(const ParsedGradient& parsed, std::span<std::uint8_t> out, int threads) {
  const std::size_t width = item_size(parsed.header.type);
  PlaneReader(parsed).for_each_piece(
      threads, [&](std::uint64_t first, std::uint8_t*) { return out.data() + first * width; },
      [](std::uint64_t, std::size_t, const std::uint8_t*) {});
}

void read_planes(const ParsedGradient& parsed, float* out, bool add, float scale, int threads) {
  PlaneReader(parsed).for_each_piece(
      threads, [](std::uint64_t, std::uint8_t* room) { return room; },
      [&](std::uint64_t first, std::size_t count, const std::uint8_t* elements) {
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
