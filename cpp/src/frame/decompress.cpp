#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "base/crc32c.hpp"
#include "base/elements.hpp"
#include "base/executor.hpp"
#include "frame/chunk_reader.hpp"
#include "gradwire/error.hpp"
#include "gradwire/frame.hpp"

namespace gradwire {
namespace {

/// Adds elements to a sum, whose type may be wider or narrower; overflow wraps.
void add_elements(const Elements& elements, DType sum_dtype, std::uint8_t* sum) {
  with_width(elements.dtype, [&]<typename T>() {
    with_width(sum_dtype, [&]<typename S>() {
      for (std::size_t i = 0; i < elements.count; ++i) {
        S total;
        std::memcpy(&total, sum + i * sizeof(S), sizeof(S));
        using Signed = std::make_signed_t<T>;
        const T bits = load<T>(elements, i);
        const std::uint64_t wide = is_signed(elements.dtype)
                                       ? static_cast<std::uint64_t>(static_cast<Signed>(bits))
                                       : bits;
        total = static_cast<S>(total + wide);
        std::memcpy(sum + i * sizeof(S), &total, sizeof(S));
      }
    });
  });
}

}  // namespace

FrameInfo inspect(std::span<const std::uint8_t> frame, Checksum checksum) {
  const ParsedFrame parsed = parse_frame(frame);
  if (checksum == Checksum::kVerified) verify_checksum(frame, parsed);
  FrameInfo info;
  info.version = kVersion;
  info.codec = parsed.codec->info.id;
  info.layout = static_cast<unsigned>(parsed.layout);
  info.dtype = parsed.dtype;
  info.shape = parsed.shape;
  info.count = parsed.count;
  info.nbytes = parsed.nbytes();
  info.code_length = parsed.code_length;
  info.code_book_bytes = parsed.code_book.size();
  info.chunks = parsed.chunks.size();
  info.raw_chunks = static_cast<std::size_t>(std::count_if(
      parsed.chunks.begin(), parsed.chunks.end(), [](const auto& c) { return c.raw; }));
  info.checksum = parsed.checksum;
  info.shared_code_book = parsed.shared_code_book;
  return info;
}

void decompress_into(std::span<const std::uint8_t> frame, std::span<std::uint8_t> out,
                     int threads) {
  const ChunkReader reader(frame, Checksum::kIgnored);  // verified below, while decoding
  const ParsedFrame& parsed = reader.frame();
  if (out.size() < parsed.nbytes()) {
    throw BufferTooSmallError("the buffer has " + std::to_string(out.size()) +
                              " bytes, but the frame decodes to " +
                              std::to_string(parsed.nbytes()));
  }
  if (out.size() > parsed.nbytes()) {
    throw std::invalid_argument("the buffer has " + std::to_string(out.size()) +
                                " bytes, but the frame decodes to only " +
                                std::to_string(parsed.nbytes()));
  }
  std::vector<Crc32c> sums(reader.chunks());
  for_each(reader.chunks(), usable_threads(threads), [&](std::size_t i) {
    if (parsed.checksum) sums[i] = Crc32c(parsed.chunks[i].payload);
    reader.decode(i, out.data() + parsed.borders[i] * item_size(parsed.dtype));
  });
  Crc32c payloads;
  for (const Crc32c& sum : sums) payloads.append(sum);
  check_crc(parsed, payloads);
}

void decompress_add(std::span<const std::uint8_t> frame, std::span<std::uint8_t> sum,
                    DType sum_dtype, int threads) {
  if (sum_dtype == DType::kBool)
    throw std::invalid_argument("the sum cannot be an array of bool; pass an integer dtype");
  const ChunkReader reader(frame);
  const std::uint64_t count = reader.frame().count;
  const std::size_t width = item_size(sum_dtype);
  if (sum.size() / width != count || sum.size() % width != 0) {
    throw std::invalid_argument("the sum has " + std::to_string(sum.size() / width) +
                                " elements, but the frame has " + std::to_string(count));
  }
  reader.for_each_chunk(threads, [&](std::size_t first, const Elements& elements) {
    add_elements(elements, sum_dtype, sum.data() + first * width);
  });
}

}  // namespace gradwire
