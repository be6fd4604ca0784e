// Frames of signs: of gradients without zeros (FORMAT.md, section 9.3), and with zeros (section
// 9.4).

#include <algorithm>
#include <numeric>

#include "gradients/parts.hpp"
#include "gradients/pieces.hpp"
#include "gradients/signs.hpp"
#include "gradwire/error.hpp"
#include "gradwire/frame.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {
namespace {

/// The signs of the elements that are not 0.
BitArray kept_signs(const Signs& signs) {
  BitArray kept(signs.sent());
  kernels().floats.keep_bits(signs.negative().at(0), signs.nonzero().at(0),
                             static_cast<std::size_t>(signs.nonzero().count()), kept.at(0));
  return kept;
}

std::size_t write_bits(const BitArray& bits, const Options& options, std::span<std::uint8_t> out) {
  const std::uint64_t shape[] = {bits.bytes().size()};
  return compress_into({bits.bytes().data(), DType::kUInt8, shape}, options, out);
}

/// Reads the bits of `count` elements; the bits that fill the last byte must be 0.
BitArray read_bits(std::span<const std::uint8_t> part, std::uint64_t count, int threads) {
  BitArray bits(count);
  decompress_into(part, bits.bytes(), threads);
  if (count % 8 != 0 && bits.bytes().back() >> count % 8 != 0) {
    throw CorruptFrameError("the signs of a gradient frame have bits set past the last element");
  }
  return bits;
}

/// Number of ones before each part of a gradient. Throws CorruptFrameError unless there are
/// `wanted` ones in all.
std::vector<std::size_t> ones_before(const BitArray& bits, std::uint64_t wanted, int threads) {
  std::vector<std::size_t> ones(part_count(bits.count()) + 1);
  for_each_part(bits.count(), threads, [&](std::size_t i, std::uint64_t begin, std::uint64_t end) {
    ones[i + 1] =
        kernels().floats.count_ones(bits.at(begin), 0, static_cast<std::size_t>(end - begin));
  });
  std::partial_sum(ones.begin(), ones.end(), ones.begin());
  if (ones.back() != wanted) {
    throw CorruptFrameError("the nonzero elements of a gradient frame do not match its header");
  }
  return ones;
}

/// The two arrays of bits that kernels take. The second one is empty if there are no zeros.
struct SignBits {
  BitArray negative;
  BitArray nonzero;
};

SignBits read_sign_bits(const ParsedGradient& parsed, int threads) {
  const std::uint64_t count = parsed.header.count;
  BitArray first = read_bits(parsed.parts[0], count, threads);
  if (parsed.header.method == Method::kSigns) return {std::move(first), BitArray(0)};
  const std::uint64_t sent = parsed.header.sent;
  const BitArray kept = read_bits(parsed.parts[1], sent, threads);
  const std::vector<std::size_t> before = ones_before(first, sent, threads);
  BitArray negative(count);
  for_each_part(count, threads, [&](std::size_t i, std::uint64_t begin, std::uint64_t end) {
    kernels().floats.spread_bits(kept.at(0), kept.at(0) + kept.bytes().size(), before[i],
                                 first.at(begin), static_cast<std::size_t>(end - begin),
                                 negative.at(begin));
  });
  return {std::move(negative), std::move(first)};
}

}  // namespace

std::size_t max_signs_size(std::uint64_t count) {
  const std::uint64_t bytes[] = {bit_bytes(count)};
  return 2 * max_compressed_size({nullptr, DType::kUInt8, bytes});
}

Quantized write_signs(const Signs& signs, const Options& options, std::span<std::uint8_t> out) {
  Quantized made{.scales = signs.scales(), .zeros = signs.nonzero().count() - signs.sent()};
  if (made.zeros == 0) {
    made.parts = {write_bits(signs.negative(), options, out)};
  } else {
    made.parts = {write_bits(signs.nonzero(), options, out)};
    made.parts.push_back(write_bits(kept_signs(signs), options, out.subspan(made.parts[0])));
  }
  return made;
}

void read_signs(const ParsedGradient& parsed, float* out, bool add, float scale, int threads) {
  const GradientHeader& header = parsed.header;
  const std::size_t each = header.scales_per_bucket;
  const std::vector<float> scales = read_scales(parsed);
  const SignBits bits = read_sign_bits(parsed, threads);
  const std::uint8_t* const nonzero =
      header.method == Method::kSigns ? nullptr : bits.nonzero.at(0);
  for_each_part(header.count, threads, [&](std::size_t, std::uint64_t begin, std::uint64_t end) {
    const auto read = [&](std::size_t b, std::uint64_t first, std::size_t count) {
      const SignValues values = sign_values(scales.data() + b * each, each, scale);
      kernels().floats.from_signs(bits.negative.at(0), nonzero, static_cast<std::size_t>(first),
                                  count, values.value, add, out + first);
    };
    for_each_bucket(begin, end, header.bucket_size, read);
  });
}

}  // namespace gradwire
