#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "codec_table.hpp"
#include "crc32c.hpp"
#include "elements.hpp"
#include "executor.hpp"
#include "frame_header.hpp"
#include "gradwire/error.hpp"
#include "gradwire/frame.hpp"
#include "shared_code_book.hpp"
#include "streaming.hpp"
#include "varint.hpp"

namespace gradwire {

namespace {

void verify_checksum(std::span<const std::uint8_t> frame, const ParsedFrame& parsed) {
  const std::size_t size = frame.size() - parsed.tail.size() - kChecksumBytes * parsed.checksum;
  check_crc(parsed, Crc32c(frame.first(size).subspan(parsed.head.size())));
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

namespace {

/// Nothing if the frame has no code book, and needs none.
std::shared_ptr<const Decoder> decoder_of(const ParsedFrame& parsed) {
  const bool any_coded = std::any_of(parsed.chunks.begin(), parsed.chunks.end(),
                                     [](const auto& c) { return !c.raw && !c.payload.empty(); });
  if (!any_coded && parsed.code_book.empty()) return nullptr;
  if (parsed.shared_code_book) {
    const auto book = find_code_book(parsed.code_book);
    if (book->dtype() != parsed.dtype) {
      throw CorruptFrameError("the frame names a shared code book of another dtype");
    }
    return {book, &book->decoder()};
  }
  return damage_not_truncation(
      [&] { return parsed.codec->make_decoder(parsed.code_book, parsed.array()); });
}

std::size_t chunk_elements(const ParsedFrame& parsed, std::size_t i) {
  return static_cast<std::size_t>(parsed.borders[i + 1] - parsed.borders[i]);
}

/// Decodes chunk i, which is not empty, to `out`.
void decode_chunk(const ParsedFrame& parsed, const Decoder* decoder,
                  const std::uint8_t* readable_end, std::size_t i, std::uint8_t* out) {
  const ChunkEntry& chunk = parsed.chunks[i];
  const std::size_t count = chunk_elements(parsed, i);
  if (chunk.raw) {
    std::memcpy(out, chunk.payload.data(), chunk.payload.size());
  } else if (decoder == nullptr) {
    throw CorruptFrameError("a chunk needs a code book, and the frame has none");
  } else {
    damage_not_truncation([&] { decoder->decode(chunk.payload, readable_end, out, count); });
  }
  if (parsed.dtype == DType::kBool && !are_bools(out, count)) {
    throw CorruptFrameError("an element of a bool array is neither 0 nor 1");
  }
}

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
  const std::shared_ptr<const Decoder> decoder = decoder_of(parsed);
  const std::uint8_t* const readable_end = frame.data() + frame.size();
  std::vector<Crc32c> sums(parsed.chunks.size());
  for_each(parsed.chunks.size(), usable_threads(threads), [&](std::size_t i) {
    if (parsed.checksum) sums[i] = Crc32c(parsed.chunks[i].payload);
    if (chunk_elements(parsed, i) == 0) return;
    decode_chunk(parsed, decoder.get(), readable_end, i,
                 out.data() + parsed.borders[i] * item_size(parsed.dtype));
  });
  Crc32c payloads;
  for (const Crc32c& sum : sums) payloads.append(sum);
  check_crc(parsed, payloads);
}

ChunkReader::ChunkReader(std::span<const std::uint8_t> frame)
    : readable_end_(frame.data() + frame.size()), parsed_(parse_frame(frame)) {
  verify_checksum(frame, parsed_);
  decoder_ = decoder_of(parsed_);
}

void ChunkReader::decode(std::size_t i, std::uint8_t* out) const {
  if (chunk_elements(i) > 0) decode_chunk(parsed_, decoder_.get(), readable_end_, i, out);
}

const std::uint8_t* ChunkReader::read(std::size_t i, std::vector<std::uint8_t>& buffer) const {
  const ChunkEntry& chunk = parsed_.chunks[i];
  if (chunk.raw && parsed_.dtype != DType::kBool) return chunk.payload.data();
  buffer.resize(std::max(buffer.size(), chunk_elements(i) * item_size(parsed_.dtype)));
  decode(i, buffer.data());
  return buffer.data();
}

void ChunkReader::for_each_chunk(
    int threads, const std::function<void(std::size_t, const Elements&)>& use) const {
  for_each_chunk({this, 1}, threads,
                 [&](std::size_t begin, const Elements* chunk) { use(begin, *chunk); });
}

void ChunkReader::for_each_chunk(std::span<const ChunkReader> readers, int threads,
                                 const std::function<void(std::size_t, const Elements*)>& use) {
  const ChunkReader& first = readers.front();
  for_each(first.chunks(), usable_threads(threads), [&](std::size_t i) {
    const std::size_t count = first.chunk_elements(i);
    if (count == 0) return;
    // Kept from chunk to chunk, unless a long run has made this one larger than others.
    thread_local std::vector<std::vector<std::uint8_t>> kept;
    std::vector<std::vector<std::uint8_t>> large;
    std::vector<std::vector<std::uint8_t>>& buffers =
        count > std::size_t{1} << kMaxChunkLog2 ? large : kept;
    buffers.resize(std::max(buffers.size(), readers.size()));
    std::vector<Elements> elements;
    for (std::size_t k = 0; k < readers.size(); ++k) {
      elements.push_back({readers[k].read(i, buffers[k]), count, readers[k].parsed_.dtype});
    }
    use(first.parsed_.borders[i], elements.data());
  });
}

void decompress_add(std::span<const std::uint8_t> frame, std::span<std::uint8_t> sum,
                    DType sum_dtype, int threads) {
  if (sum_dtype == DType::kBool) throw std::invalid_argument("bools cannot be added up");
  const ChunkReader reader(frame);
  const std::uint64_t count = reader.frame().count;
  const std::size_t width = item_size(sum_dtype);
  if (sum.size() / width != count || sum.size() % width != 0) {
    throw std::invalid_argument("the sum has " + std::to_string(sum.size() / width) +
                                " elements, the frame has " + std::to_string(count));
  }
  reader.for_each_chunk(threads, [&](std::size_t first, const Elements& elements) {
    add_elements(elements, sum_dtype, sum.data() + first * width);
  });
}

}  // namespace gradwire
