#include <algorithm>
#include <bit>
#include <stdexcept>
#include <string>

#include "frame/chunk_reader.hpp"
#include "gradients/parts.hpp"
#include "gradients/pieces.hpp"
#include "gradwire/error.hpp"
#include "gradwire/sparsify.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {
namespace {

/// Where the result goes, and how.
struct Target {
  float* out;
  bool add;
  float scale;
  int threads;
};

/// Adds up gradients that have the same chunks and buckets, bucket by bucket.
void read_levels(std::span<const ParsedGradient> parsed, std::span<const ChunkReader> levels,
                 const Target& target) {
  std::vector<std::vector<float>> scales;
  for (const ParsedGradient& one : parsed) scales.push_back(read_scales(one));
  const std::uint64_t bucket = parsed.front().header.bucket_size;
  ChunkReader::for_each_chunk(
      levels, target.threads, [&](std::size_t begin, const Elements* chunks) {
        const auto add_up = [&](std::size_t b, std::uint64_t first, std::size_t count) {
          for (std::size_t k = 0; k < parsed.size(); ++k) {
            const float unit = level_unit(scales[k][b], parsed[k].header.levels);
            const bool adds = target.add || k > 0;
            if (std::bit_cast<std::uint32_t>(scales[k][b]) ==
                0) {  // all elements are 0, as is common in embeddings
              if (!adds) std::fill_n(target.out + first, count, 0.0f);
              continue;
            }
            const auto* const in =
                reinterpret_cast<const std::int8_t*>(chunks[k].data + first - begin);
            kernels().floats.dequantize(in, count, unit * target.scale, adds, target.out + first);
          }
        };
        for_each_bucket(begin, begin + chunks->count, bucket, add_up);
      });
}

std::vector<ChunkReader> readers_of(std::span<const ParsedGradient> parsed) {
  std::vector<ChunkReader> readers;
  for (const ParsedGradient& one : parsed) readers.emplace_back(one.parts[0]);
  return readers;
}

/// Whether read_levels can add these gradients up in one pass.
bool are_alike(std::span<const ParsedGradient> parsed, std::span<const ChunkReader> levels) {
  for (std::size_t k = 1; k < parsed.size(); ++k) {
    const bool alike = parsed[k].header.bucket_size == parsed[0].header.bucket_size &&
                       levels[k].frame().borders == levels[0].frame().borders;
    if (!alike) return false;
  }
  return true;
}

void read_powers(const ParsedGradient& parsed, const Target& target) {
  const ChunkReader levels(parsed.parts[0]);
  levels.for_each_chunk(target.threads, [&](std::size_t begin, const Elements& chunk) {
    kernels().floats.from_powers(reinterpret_cast<const std::int8_t*>(chunk.data), chunk.count,
                                 parsed.header.base, target.scale, target.add, target.out + begin);
  });
}

void read_sparse(const ParsedGradient& parsed, const Target& target) {
  const GradientHeader& header = parsed.header;
  const ParsedGradient inner = parse_gradient(parsed.parts.back(), Extent::kPart);
  if (inner.header.method == Method::kSparse || inner.header.method == Method::kRandom ||
      inner.header.count != header.sent) {
    throw CorruptFrameError("the values of a sparse frame do not match its indices");
  }
  const std::vector<std::uint32_t> indices =
      header.method == Method::kRandom
          ? random_indices(header.count, header.sent, header.stream)
          : read_gaps(header, parsed.parts[0], parsed.parts[1], target.threads);
  std::vector<float> values(indices.size());
  decompress_parsed(inner, values, false, target.scale, target.threads);
  if (target.add) {
    for (std::size_t i = 0; i < indices.size(); ++i) target.out[indices[i]] += values[i];
  } else {
    std::fill_n(target.out, header.count, 0.0f);
    for (std::size_t i = 0; i < indices.size(); ++i) target.out[indices[i]] = values[i];
  }
}

}  // namespace

void decompress_parsed(const ParsedGradient& parsed, std::span<float> out, bool add, float scale,
                       int threads) {
  const Target target{out.data(), add, scale, threads};
  switch (parsed.header.method) {
    case Method::kLevels: return read_levels({&parsed, 1}, readers_of({&parsed, 1}), target);
    case Method::kSigns:
    case Method::kTernarySigns: return read_signs(parsed, out.data(), add, scale, threads);
    case Method::kPowers: return read_powers(parsed, target);
    case Method::kPlanes: return read_planes(parsed, out.data(), add, scale, threads);
    case Method::kSparse:
    case Method::kRandom: return read_sparse(parsed, target);
  }
}

namespace {

void check_count(const ParsedGradient& parsed, std::span<float> out) {
  if (out.size() == parsed.header.count) return;
  throw std::invalid_argument("out has " + std::to_string(out.size()) +
                              " elements, the gradient has " + std::to_string(parsed.header.count));
}

}  // namespace

GradientInfo inspect_gradient(std::span<const std::uint8_t> frame) {
  const GradientHeader header = parse_gradient(frame).header;
  return {header.method, header.type, header.shape, header.count, header.sent};
}

void decompress_gradient(std::span<const std::uint8_t> frame, std::span<float> out, bool add,
                         float scale, int threads) {
  const ParsedGradient parsed = parse_gradient(frame);
  check_count(parsed, out);
  decompress_parsed(parsed, out, add, scale, threads);
}

void decompress_sum(std::span<const std::span<const std::uint8_t>> frames, std::span<float> out,
                    float scale, int threads) {
  std::vector<ParsedGradient> parsed;
  bool only_levels = !frames.empty();
  for (const std::span<const std::uint8_t> frame : frames) {
    parsed.push_back(parse_gradient(frame));
    check_count(parsed.back(), out);
    only_levels &= parsed.back().header.method == Method::kLevels;
  }
  if (frames.empty()) std::fill(out.begin(), out.end(), 0.0f);
  if (only_levels) {
    const std::vector<ChunkReader> levels = readers_of(parsed);
    if (are_alike(parsed, levels)) {
      return read_levels(parsed, levels, {out.data(), false, scale, threads});
    }
  }
  for (std::size_t k = 0; k < parsed.size(); ++k) {
    decompress_parsed(parsed[k], out, k > 0, scale, threads);
  }
}

void decompress_exactly(std::span<const std::uint8_t> frame, std::span<std::uint8_t> out,
                        int threads) {
  const ParsedGradient parsed = parse_gradient(frame);
  if (parsed.header.method != Method::kPlanes) {
    throw std::invalid_argument("this is not a frame of Lossless; only those hold exact elements");
  }
  if (out.size() != parsed.header.count * item_size(parsed.header.type)) {
    throw std::invalid_argument("the buffer has " + std::to_string(out.size()) +
                                " bytes, the gradient has " + std::to_string(parsed.header.count) +
                                " elements of item size " +
                                std::to_string(item_size(parsed.header.type)));
  }
  decompress_planes(parsed, out, threads);
}

}  // namespace gradwire
