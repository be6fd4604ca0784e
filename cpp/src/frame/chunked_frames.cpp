#include "frame/chunked_frames.hpp"

#include <algorithm>
#include <cstring>

#include "base/executor.hpp"
#include "frame/frame_header.hpp"
#include "frame/frame_writer.hpp"
#include "gradwire/frame.hpp"

namespace gradwire {
namespace {

/// Upper bound, in bytes, on a code book for bytes, which has at most 16 classes of 256 symbols
/// each.
constexpr std::size_t kMostStreamedBook = std::size_t{1} << 16;

/// Whether an array has several chunks; arrays with one chunk are made as a whole.
bool is_streamed(std::uint64_t count) { return chunk_count(count) > 1; }

/// Makes all arrays of a source; the result holds one after the other.
std::vector<std::uint8_t> make_all(const ElementSource& source, std::size_t arrays,
                                   std::uint64_t count, int threads) {
  std::vector<std::uint8_t> bytes(arrays * static_cast<std::size_t>(count));
  for_each(chunk_count(count), usable_threads(threads), [&](std::size_t i) {
    const std::uint64_t begin = std::uint64_t{i} << kChunkLog2;
    const std::uint64_t end = std::min(count, begin + (std::uint64_t{1} << kChunkLog2));
    std::vector<std::uint8_t*> outs;
    for (std::size_t k = 0; k < arrays; ++k) outs.push_back(bytes.data() + k * count + begin);
    source.take(begin, end, outs.data());
  });
  return bytes;
}

}  // namespace

std::size_t max_streamed_size(std::uint64_t count) {
  const std::uint64_t shape[] = {count};
  const std::size_t book = is_streamed(count) ? kMostStreamedBook : 0;
  return max_compressed_size({nullptr, DType::kUInt8, shape}) + book;
}

std::vector<std::size_t> compress_source(const ElementSource& source,
                                         std::span<const StreamedArray> arrays, std::uint64_t count,
                                         const Options& options, std::span<std::uint8_t> out) {
  const std::uint64_t shape[] = {count};
  std::vector<std::size_t> sizes;
  std::size_t place = 0;
  if (!is_streamed(count) || !find_codec(static_cast<std::uint8_t>(options.codec))->takes_source) {
    const std::vector<std::uint8_t> all = make_all(source, arrays.size(), count, options.threads);
    for (std::size_t k = 0; k < arrays.size(); ++k) {
      const ArrayView view{all.data() + k * count, arrays[k].dtype, shape};
      const auto write = arrays[k].is_coded ? compress_into : store_into;
      sizes.push_back(write(view, options, out.subspan(place)));
      place += sizes.back();
    }
    return sizes;
  }
  std::vector<FrameWriter> writers;
  std::vector<Coding> codings;
  std::vector<ChunkTrack> tracks;
  std::vector<std::size_t> places;
  for (std::size_t k = 0; k < arrays.size(); ++k) {
    places.push_back(place);
    writers.emplace_back(ArrayView{nullptr, arrays[k].dtype, shape}, options, out.subspan(place),
                         &source, k);
    codings.push_back(arrays[k].is_coded ? writers[k].choose_coding() : Coding{});
    tracks.push_back(writers[k].open(codings[k]));
    place += codings[k].encoder ? max_streamed_size(count) : writers[k].raw_size();
  }
  const std::vector<WrittenChunks> chunks = write_chunks(writers[0].array(), tracks);
  place = 0;
  for (std::size_t k = 0; k < arrays.size(); ++k) {
    sizes.push_back(writers[k].close(chunks[k], codings[k]));
    std::memmove(out.data() + place, out.data() + places[k], sizes[k]);
    place += sizes[k];
  }
  return sizes;
}

std::size_t store_into(const ArrayView& array, const Options& options,
                       std::span<std::uint8_t> out) {
  return FrameWriter(array, options, out).write_raw();
}

}  // namespace gradwire
