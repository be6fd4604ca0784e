// Ascending indices as gaps: each is sent as a token for its size, and its lowest bits (FORMAT.md,
// section 9.7).

#include <bit>
#include <stdexcept>
#include <string>

#include "base/bit_io.hpp"
#include "frame/chunk_reader.hpp"
#include "frame/chunked_frames.hpp"
#include "gradients/parts.hpp"
#include "gradwire/error.hpp"
#include "gradwire/frame.hpp"

namespace gradwire {
namespace {

constexpr std::uint32_t kDirect = 16;  // gaps below this are their own tokens
constexpr unsigned kDirectBits = 4;
constexpr unsigned kLeadingBits = 3;  // bits below the highest 1 of a gap that its token holds
constexpr std::uint32_t kTokens = kDirect + ((32 - kDirectBits) << kLeadingBits);  // number of them
constexpr std::size_t kBytesPerGap = 4;  // most bytes that the bits of a gap take

struct Gap {
  std::uint8_t token;
  unsigned bits;  ///< how many of the gap's lowest bits follow
};

Gap gap_of(std::uint32_t n) {
  if (n < kDirect) return {static_cast<std::uint8_t>(n), 0};
  const auto highest = static_cast<unsigned>(std::bit_width(n)) - 1;
  const unsigned bits = highest - kLeadingBits;
  const std::uint32_t leading = n >> bits & ((1u << kLeadingBits) - 1);
  const std::uint32_t token = kDirect + ((highest - kDirectBits) << kLeadingBits) + leading;
  return {static_cast<std::uint8_t>(token), bits};
}

}  // namespace

void check_indices(std::span<const std::uint32_t> indices, std::uint64_t count) {
  if (count > std::uint64_t{1} << 32) {
    throw std::invalid_argument("a sparse gradient can have at most 2^32 elements, not " +
                                std::to_string(count));
  }
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] >= count || (i > 0 && indices[i] <= indices[i - 1])) {
      throw std::invalid_argument("indices must strictly ascend and be below " +
                                  std::to_string(count) + ", but indices[" + std::to_string(i) +
                                  "] is " + std::to_string(indices[i]));
    }
  }
}

std::size_t max_gaps_size(std::size_t indices) {
  const std::uint64_t tokens[] = {indices};
  const std::uint64_t bits[] = {kBytesPerGap * indices + sizeof(std::uint64_t)};
  return max_compressed_size({nullptr, DType::kUInt8, tokens}) +
         max_compressed_size({nullptr, DType::kUInt8, bits});
}

GapParts write_gaps(std::span<const std::uint32_t> indices, const Options& options,
                    std::span<std::uint8_t> out) {
  std::vector<std::uint8_t> tokens(indices.size());
  std::vector<std::uint8_t> bits(kBytesPerGap * indices.size() + sizeof(std::uint64_t));
  BitWriter writer(bits);
  std::uint32_t next = 0;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    const std::uint32_t n = indices[i] - next;
    const Gap gap = gap_of(n);
    tokens[i] = gap.token;
    writer.put(low_bits(n, gap.bits), gap.bits);
    next = indices[i] + 1;
  }
  const std::uint64_t token_count[] = {tokens.size()};
  const std::uint64_t byte_count[] = {writer.finish()};
  GapParts parts;
  parts.tokens = compress_into({tokens.data(), DType::kUInt8, token_count}, options, out);
  parts.bits =
      store_into({bits.data(), DType::kUInt8, byte_count}, options, out.subspan(parts.tokens));
  return parts;
}

std::vector<std::uint32_t> read_gaps(const GradientHeader& header,
                                     std::span<const std::uint8_t> tokens,
                                     std::span<const std::uint8_t> bits, int threads) {
  const ChunkReader token_reader(tokens, Checksum::kVerified, Extent::kPart);
  const ChunkReader bit_reader(bits, Checksum::kVerified, Extent::kPart);
  const ParsedFrame& token_frame = token_reader.frame();
  const ParsedFrame& bit_frame = bit_reader.frame();
  if (token_frame.dtype != DType::kUInt8 || token_frame.count != header.sent ||
      bit_frame.dtype != DType::kUInt8 || bit_frame.count > kBytesPerGap * header.sent) {
    throw CorruptFrameError("the parts of a sparse frame do not match its number of elements");
  }
  std::vector<std::uint8_t> token(token_frame.count);
  std::vector<std::uint8_t> low(bit_frame.count);
  token_reader.decode_all(token.data(), threads);
  bit_reader.decode_all(low.data(), threads);
  BitReader reader(low);
  std::vector<std::uint32_t> indices(token.size());
  std::uint64_t next = 0;
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::uint64_t n = token[i];
    if (n >= kDirect) {
      if (n >= kTokens) throw CorruptFrameError("a sparse frame has an invalid gap token");
      const auto leading = (n - kDirect) & ((1u << kLeadingBits) - 1);
      const auto count = static_cast<unsigned>((n - kDirect) >> kLeadingBits) + 1;
      n = ((1u << kLeadingBits) + leading) << count | reader.get(count);
    }
    next += n;
    if (next >= header.count) throw CorruptFrameError("a sparse frame has an index out of range");
    indices[i] = static_cast<std::uint32_t>(next++);
  }
  if (!reader.at_end()) throw CorruptFrameError("the bits of a sparse frame do not fit its gaps");
  return indices;
}

}  // namespace gradwire
