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
void read_levels(std::span<const ParsedGradient> parsed, const Target& target) {
  std::vector<std::vector<float>> scales;
  std::vector<ChunkReader> levels;
  for (const ParsedGradient& one : parsed) {
    scales.push_back(read_scales(one));
    levels.emplace_back(one.parts[0]);
  }
  const auto read_chunk = [&](std::size_t begin, const Elements* chunks) {
    const auto add_up = [&](std::size_t b, std::uint64_t first, std::size_t count) {
      for (std::size_t k = 0; k < parsed.size(); ++k) {
        const bool adds = target.add || k > 0;
        // All elements are 0, as is common in embeddings: 4 times as fast where 95 % of rows are 0.
        if (std::bit_cast<std::uint32_t>(scales[k][b]) == 0) {
          if (!adds) std::fill_n(target.out + first, count, 0.0f);
          continue;
        }
        const float unit = level_unit(scales[k][b], parsed[k].header.levels);
        const auto* const in = reinterpret_cast<const std::int8_t*>(chunks[k].data + first - begin);
        kernels().floats.dequantize(in, count, unit * target.scale, adds, target.out + first);
      }
    };
    for_each_bucket(begin, begin + chunks->count, parsed[0].header.bucket_size, add_up);
  };
  ChunkReader::for_each_chunk(levels, target.threads, read_chunk);
}

/// Whether read_levels can add these gradients up in one pass.
bool are_alike(std::span<const ParsedGradient> parsed) {
  const auto borders = [](const ParsedGradient& one) { return parse_frame(one.parts[0]).borders; };
  return std::ranges::all_of(parsed, [&](const ParsedGradient& one) {
    return one.header.method == Method::kLevels &&
           one.header.bucket_size == parsed[0].header.bucket_size &&
           borders(one) == borders(parsed[0]);
  });
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

void check_count(const ParsedGradient& parsed, std::span<float> out) {
  if (out.size() == parsed.header.count) return;
  throw std::invalid_argument("out has " + std::to_string(out.size()) +
                              " elements, the gradient has " + std::to_string(parsed.header.count));
}

}  // namespace

void decompress_parsed(const ParsedGradient& parsed, std::span<float> out, bool add, float scale,
                       int threads) {
  const Target target{out.data(), add, scale, threads};
  switch (parsed.header.method) {
    case Method::kLevels: return read_levels({&parsed, 1}, target);
    case Method::kSigns:
    case Method::kTernarySigns: return read_signs(parsed, out.data(), add, scale, threads);
    case Method::kPowers: return read_powers(parsed, target);
    case Method::kPlanes: return read_planes(parsed, out.data(), add, scale, threads);
    case Method::kSparse:
    case Method::kRandom: return read_sparse(parsed, target);
  }
}

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
  for (const std::span<const std::uint8_t> frame : frames) {
    parsed.push_back(parse_gradient(frame));
    check_count(parsed.back(), out);
  }
  if (parsed.empty()) std::ranges::fill(out, 0.0f);
  if (!parsed.empty() && are_alike(parsed))
    return read_levels(parsed, {out.data(), false, scale, threads});
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
