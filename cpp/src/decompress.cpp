#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

#include "codec_table.hpp"
#include "crc32c.hpp"
#include "elements.hpp"
#include "executor.hpp"
#include "frame_header.hpp"
#include "gradwire/error.hpp"
#include "gradwire/frame.hpp"

namespace gradwire {

FrameInfo inspect(std::span<const std::uint8_t> frame, Checksum checksum) {
  const ParsedFrame parsed = parse_frame(frame);
  if (checksum == Checksum::kVerified) {
    const std::size_t size = frame.size() - parsed.tail.size() - kChecksumBytes * parsed.checksum;
    check_crc(parsed, Crc32c(frame.first(size).subspan(parsed.head.size())));
  }
  FrameInfo info;
  info.version = kVersion;
  info.codec = parsed.codec->info.id;
  info.layout = parsed.layout;
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
  return info;
}

void decompress_into(std::span<const std::uint8_t> frame, std::span<std::uint8_t> out,
                     int threads) {
  const ParsedFrame parsed = parse_frame(frame);
  if (out.size() < parsed.nbytes()) {
    throw BufferTooSmallError("the buffer has " + std::to_string(out.size()) +
                              " bytes, the frame decodes to " + std::to_string(parsed.nbytes()));
  }
  if (out.size() > parsed.nbytes()) {
    throw std::invalid_argument("the buffer has " + std::to_string(out.size()) +
                                " bytes, the frame decodes to only " +
                                std::to_string(parsed.nbytes()));
  }
  const bool any_coded = std::any_of(parsed.chunks.begin(), parsed.chunks.end(),
                                     [](const auto& c) { return !c.raw && !c.payload.empty(); });
  std::unique_ptr<Decoder> decoder;
  if (any_coded || !parsed.code_book.empty()) {
    decoder = parsed.codec->make_decoder(parsed.code_book, parsed.dtype, parsed.count);
  }
  const std::size_t width = item_size(parsed.dtype);
  const std::uint8_t* const readable_end = frame.data() + frame.size();
  std::vector<Crc32c> sums(parsed.chunks.size());
  for_each(parsed.chunks.size(), usable_threads(threads), [&](std::size_t i) {
    const ChunkEntry& chunk = parsed.chunks[i];
    const std::uint64_t count = parsed.borders[i + 1] - parsed.borders[i];
    std::uint8_t* const place = out.data() + parsed.borders[i] * width;
    if (parsed.checksum) sums[i] = Crc32c(chunk.payload);
    if (count == 0) return;
    if (chunk.raw) {
      std::memcpy(place, chunk.payload.data(), chunk.payload.size());
    } else if (!decoder) {
      throw CorruptFrameError("a chunk needs a code book, and the frame has none");
    } else {
      decoder->decode(chunk.payload, readable_end, place, static_cast<std::size_t>(count));
    }
    if (parsed.dtype == DType::kBool && !are_bools(place, count)) {
      throw CorruptFrameError("an element of a bool array is neither 0 nor 1");
    }
  });
  Crc32c payloads;
  for (const Crc32c& sum : sums) payloads.append(sum);
  check_crc(parsed, payloads);
}

}  // namespace gradwire
