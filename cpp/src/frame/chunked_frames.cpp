#include "frame/chunked_frames.hpp"

#include <algorithm>
#include <cstring>

#include "base/executor.hpp"
#include "base/scratch.hpp"
#include "frame/frame_header.hpp"
#include "frame/frame_writer.hpp"
#include "gradwire/frame.hpp"

namespace gradwire {
namespace {

/// Upper bound, in bytes, on a code book for bytes, which has at most 16 classes of 256 symbols
/// each.
constexpr std::size_t kMostStreamedBook = std::size_t{1} << 16;

/// Whether an array has several chunks of bytes; others are made as a whole.
bool is_streamed(std::uint64_t count, DType dtype) {
  return chunk_count(count) > 1 && item_size(dtype) == 1;
}

/// Makes all arrays of a source, one after the other, with elements of `width` bytes.
void make_all(const ElementSource& source, std::size_t arrays, std::uint64_t count,
              std::size_t width, int threads, std::uint8_t* bytes) {
  for_each(chunk_count(count), usable_threads(threads), [&](std::size_t i) {
    const std::uint64_t begin = std::uint64_t{i} << kChunkLog2;
    const std::uint64_t end = std::min(count, begin + (std::uint64_t{1} << kChunkLog2));
    std::vector<std::uint8_t*> outs;
    for (std::size_t k = 0; k < arrays; ++k) {
      outs.push_back(bytes + (k * count + begin) * width);
    }
    source.take(begin, end, outs.data());
  });
}

}  // namespace

std::size_t max_streamed_size(std::uint64_t count, DType dtype) {
  const std::uint64_t shape[] = {count};
  const std::size_t book = is_streamed(count, dtype) ? kMostStreamedBook : 0;
  return max_compressed_size({nullptr, dtype, shape}) + book;
}

std::vector<std::size_t> compress_source(const ElementSource& source,
                                         std::span<const StreamedArray> arrays, std::uint64_t count,
                                         const Options& options, std::span<std::uint8_t> out) {
  const std::uint64_t shape[] = {count};
  std::vector<std::size_t> sizes;
  std::size_t place = 0;
  if (!is_streamed(count, arrays[0].dtype) ||
      !find_codec(static_cast<std::uint8_t>(options.codec))->takes_source) {
    const std::size_t width = item_size(arrays[0].dtype);
    const Scratch all(arrays.size() * static_cast<std::size_t>(count) * width);
    make_all(source, arrays.size(), count, width, options.threads, all.data());
    for (std::size_t k = 0; k < arrays.size(); ++k) {
      const ArrayView view{all.data() + k * count * width, arrays[k].dtype, shape};
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
