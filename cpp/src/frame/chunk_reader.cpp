#include "frame/chunk_reader.hpp"

#include <algorithm>
#include <cstring>

#include "base/executor.hpp"
#include "base/scratch.hpp"
#include "codecs/loaded_code_book.hpp"
#include "gradwire/error.hpp"

namespace gradwire {
namespace {

/// Null if the frame has no code book and needs none.
std::shared_ptr<const Decoder> decoder_of(const ParsedFrame& parsed) {
  const bool any_coded = std::any_of(parsed.chunks.begin(), parsed.chunks.end(),
                                     [](const auto& c) { return !c.raw && !c.payload.empty(); });
  if (!any_coded && parsed.code_book.empty()) return nullptr;
  if (parsed.shared_code_book) {
    const auto book = find_code_book(parsed.code_book, parsed.dtype, parsed.layout);
    return {book, &book->decoder()};
  }
  return parsed.codec->make_decoder(parsed.code_book, parsed.array());
}

}  // namespace

ChunkReader::ChunkReader(std::span<const std::uint8_t> frame, Checksum checksum, Extent extent)
    : readable_end_(frame.data() + frame.size()), parsed_(parse_frame(frame, extent)) {
  if (checksum == Checksum::kVerified) verify_checksum(frame, parsed_);
  decoder_ = decoder_of(parsed_);
}

void ChunkReader::decode(std::size_t i, std::uint8_t* out) const {
  const std::size_t count = chunk_elements(i);
  if (count == 0) return;
  const ChunkEntry& chunk = parsed_.chunks[i];
  if (chunk.raw) {
    std::memcpy(out, chunk.payload.data(), chunk.payload.size());
  } else if (decoder_ == nullptr) {
    throw CorruptFrameError("a chunk needs a code book, but the frame has none");
  } else {
    decoder_->decode(chunk.payload, readable_end_, out, count);
  }
  if (parsed_.dtype == DType::kBool && !are_bools(out, count)) {
    throw CorruptFrameError("an element of a bool array is neither 0 nor 1");
  }
}

void ChunkReader::decode_all(std::uint8_t* out, int threads) const {
  for_each(chunks(), usable_threads(threads),
           [&](std::size_t i) { decode(i, out + parsed_.borders[i] * item_size(parsed_.dtype)); });
}

const std::uint8_t* ChunkReader::read(std::size_t i, std::uint8_t* room) const {
  const ChunkEntry& chunk = parsed_.chunks[i];
  if (chunk.raw && parsed_.dtype != DType::kBool) return chunk.payload.data();
  decode(i, room);
  return room;
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
    std::size_t bytes = 0;
    for (const ChunkReader& one : readers) bytes += count * item_size(one.parsed_.dtype);
    const Scratch room(bytes);
    std::uint8_t* place = room.data();
    std::vector<Elements> elements;
    for (const ChunkReader& one : readers) {
      elements.push_back({one.read(i, place), count, one.parsed_.dtype});
      place += elements.back().nbytes();
    }
    use(first.parsed_.borders[i], elements.data());
  });
}

}  // namespace gradwire
