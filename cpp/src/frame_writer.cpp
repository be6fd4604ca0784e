#include "frame_writer.hpp"

#include <algorithm>
#include <cstring>
#include <optional>

#include "executor.hpp"
#include "frame_header.hpp"
#include "shared_code_book.hpp"
#include "varint.hpp"

namespace gradwire {
namespace {

/// How far each border moves on, so that the chunk before it ends with its last run.
std::vector<std::uint64_t> find_overhangs(const Elements& elements, bool whole_runs) {
  const std::size_t chunks = chunk_count(elements.count);
  std::vector<std::uint64_t> overhangs(chunks == 0 ? 0 : chunks - 1);
  if (!whole_runs) return overhangs;
  with_width(elements.dtype, [&]<typename T>() {
    std::uint64_t border = 0;
    for (std::size_t i = 0; i < overhangs.size(); ++i) {
      const std::uint64_t nominal = static_cast<std::uint64_t>(i + 1) << kChunkLog2;
      border = std::max(border, nominal);
      while (border < elements.count &&
             load<T>(elements, border) == load<T>(elements, border - 1)) {
        ++border;
      }
      overhangs[i] = border - nominal;
    }
  });
  return overhangs;
}

/// Everything before the chunk directory.
std::vector<std::uint8_t> frame_head(const ArrayView& array, const Options& options, Layout layout,
                                     std::uint8_t book_flag, std::size_t code_book_size) {
  std::vector<std::uint8_t> head = {
      kMagic[0],
      kMagic[1],
      kVersion,
      static_cast<std::uint8_t>((options.checksum ? kChecksumFlag : 0) | book_flag),
      static_cast<std::uint8_t>(options.codec),
      static_cast<std::uint8_t>(layout),
      static_cast<std::uint8_t>(array.dtype),
      kChunkLog2,
      static_cast<std::uint8_t>(array.shape.size()),
  };
  for (const std::uint64_t dimension : array.shape) append_varint(head, dimension);
  append_varint(head, code_book_size);
  return head;
}

struct WrittenChunk {
  std::uint32_t entry;  // as in the chunk directory
  std::uint64_t code_length;
  Crc32c crc;  // of the payload, while it is in the cache

  std::size_t size() const { return entry & ~kRawChunkFlag; }
};

/// Writes one chunk to the front of `out`, where it may be already, coded if that is smaller than
/// raw.
WrittenChunk write_chunk(const Encoder* encoder, const Elements& chunk, std::uint8_t* out) {
  const std::size_t raw_size = chunk.nbytes();
  if (chunk.count == 0) return {0, 0, {}};
  EncodedChunk encoded{std::nullopt, 8 * std::uint64_t{raw_size}};
  if (encoder != nullptr) encoded = encoder->encode(chunk, {out, raw_size - 1});
  if (!encoded.size && chunk.data != out) std::memcpy(out, chunk.data, raw_size);
  const std::size_t size = encoded.size.value_or(raw_size);
  const std::uint32_t raw = encoded.size ? 0 : kRawChunkFlag;
  return {static_cast<std::uint32_t>(size) | raw, encoded.code_length, Crc32c({out, size})};
}

/// Where a source shall make a chunk: in its place, if it is stored raw, or where this thread made
/// the last one.
std::vector<std::uint8_t*> places_for_chunk(std::span<const ChunkTrack> tracks,
                                            std::span<std::uint8_t* const> next) {
  thread_local std::vector<std::vector<std::uint8_t>> kept;
  kept.resize(std::max(kept.size(), tracks.size()));
  std::vector<std::uint8_t*> places(next.begin(), next.end());
  for (std::size_t k = 0; k < tracks.size(); ++k) {
    if (tracks[k].encoder == nullptr) continue;
    kept[k].resize(std::size_t{1} << kChunkLog2);
    places[k] = kept[k].data();
  }
  return places;
}

/// memmove to a lower place, on all threads: a piece no longer than the distance it moves does not
/// overlap itself.
void move_down(std::uint8_t* to, const std::uint8_t* from, std::size_t size, int threads) {
  constexpr std::size_t kWorthThreads = std::size_t{1} << 20;
  const std::size_t distance = static_cast<std::size_t>(from - to);
  if (threads == 1 || distance < kWorthThreads) {
    std::memmove(to, from, size);
    return;
  }
  for (std::size_t done = 0; done < size; done += distance) {
    const std::size_t piece = std::min(distance, size - done);
    const std::size_t shares = piece < kWorthThreads ? 1 : static_cast<std::size_t>(threads);
    for_each(shares, threads, [&](std::size_t i) {
      const std::size_t begin = piece * i / shares;
      const std::size_t end = piece * (i + 1) / shares;
      std::memcpy(to + done + begin, from + done + begin, end - begin);
    });
  }
}

std::uint8_t* append(std::uint8_t* place, std::span<const std::uint8_t> bytes) {
  return std::copy(bytes.begin(), bytes.end(), place);
}

}  // namespace

std::size_t chunk_count(std::uint64_t elements) {
  return static_cast<std::size_t>((elements + (std::uint64_t{1} << kChunkLog2) - 1) >> kChunkLog2);
}

/// Each thread fills a region of its own that could hold its chunks raw; then the regions close up.
std::vector<WrittenChunks> write_chunks(const ChunkedArray& array,
                                        std::span<const ChunkTrack> tracks) {
  const std::size_t chunks = array.size();
  const std::size_t regions =
      std::min<std::size_t>(chunks, static_cast<std::size_t>(array.threads));
  std::vector<WrittenChunk> written(tracks.size() * chunks);
  std::vector<std::size_t> region_size(tracks.size() * regions);
  const auto first_chunk = [&](std::size_t region) { return region * chunks / regions; };
  const auto region_place = [&](std::size_t region) {
    return array.borders[first_chunk(region)] * array.elements.width();
  };
  for_each(regions, array.threads, [&](std::size_t region) {
    std::vector<std::uint8_t*> next;
    for (const ChunkTrack& track : tracks) next.push_back(track.payloads + region_place(region));
    for (std::size_t i = first_chunk(region); i < first_chunk(region + 1); ++i) {
      std::vector<std::uint8_t*> made;
      if (array.source != nullptr) {
        made = places_for_chunk(tracks, next);
        array.source->take(array.borders[i], array.borders[i + 1], made.data());
      }
      const auto count = static_cast<std::size_t>(array.borders[i + 1] - array.borders[i]);
      for (std::size_t k = 0; k < tracks.size(); ++k) {
        const Elements chunk =
            array.source == nullptr ? array.chunk(i) : Elements{made[k], count, tracks[k].dtype};
        WrittenChunk& own = written[k * chunks + i];
        own = write_chunk(tracks[k].encoder, chunk, next[k]);
        next[k] += own.size();
      }
    }
    for (std::size_t k = 0; k < tracks.size(); ++k) {
      const std::uint8_t* const begin = tracks[k].payloads + region_place(region);
      region_size[k * regions + region] = static_cast<std::size_t>(next[k] - begin);
    }
  });
  std::vector<WrittenChunks> totals(tracks.size());
  for (std::size_t k = 0; k < tracks.size(); ++k) {
    WrittenChunks& total = totals[k];
    for (std::size_t region = 0; region < regions; ++region) {
      const std::size_t size = region_size[k * regions + region];
      move_down(tracks[k].payloads + total.size, tracks[k].payloads + region_place(region), size,
                array.threads);
      total.size += size;
    }
    for (std::size_t i = 0; i < chunks; ++i) {
      const WrittenChunk& own = written[k * chunks + i];
      std::memcpy(tracks[k].directory + i * kChunkEntryBytes, &own.entry, kChunkEntryBytes);
      total.code_length += own.code_length;
      total.crc.append(own.crc);
    }
  }
  return totals;
}

FrameWriter::FrameWriter(const ArrayView& view, const Options& options, std::span<std::uint8_t> out,
                         const ElementSource* source, std::size_t number)
    : view_(view),
      options_(options),
      out_(out),
      codec_(*find_codec(static_cast<std::uint8_t>(options.codec))) {
  array_.elements = {static_cast<const std::uint8_t*>(view.data),
                     static_cast<std::size_t>(element_count(view.shape, view.dtype)), view.dtype};
  array_.threads = usable_threads(options.threads);
  array_.source = source;
  array_.number = number;
  overhangs_ = find_overhangs(array_.elements, codec_.whole_runs);
  array_.borders = chunk_borders(array_.elements.count, kChunkLog2, overhangs_);
}

std::size_t FrameWriter::write_raw() { return close(write_payloads({}), {}); }

/// Raw, if code words would not make the frame smaller.
std::size_t FrameWriter::write() {
  if (array_.elements.count == 0) return write_raw();
  const Coding coding = choose_coding();
  if (coding.encoder == nullptr) return write_raw();
  const WrittenChunks coded = write_payloads(coding);
  if (coded.size + coding.code_book().size() < array_.elements.nbytes()) {
    return close(coded, coding);
  }
  WrittenChunks raw = write_payloads({});
  raw.code_length = coded.code_length;
  return close(raw, {});
}

Coding FrameWriter::choose_coding() const {
  Coding coding;
  const auto* book = static_cast<const LoadedCodeBook*>(options_.code_book.get());
  if (book != nullptr && codec_.info.id == CodecId::kEntropy && book->fits(array_)) {
    const std::uint64_t name = book->name();
    coding.shared.resize(kBookNameBytes);
    std::memcpy(coding.shared.data(), &name, kBookNameBytes);
    coding.encoder = &book->encoder();
    return coding;
  }
  coding.own = codec_.make_encoder(array_, options_);
  coding.encoder = coding.own.get();
  return coding;
}

WrittenChunks FrameWriter::write_payloads(const Coding& coding) {
  const ChunkTrack track = open(coding);
  return write_chunks(array_, {&track, 1})[0];
}

std::size_t FrameWriter::raw_size() const {
  const std::uint64_t bytes = array_.elements.nbytes();
  std::vector<std::uint8_t> code_length;
  append_varint(code_length, 8 * bytes);
  return frame_head(view_, options_, Layout::kClassic, 0, 0).size() +
         array_.size() * kChunkEntryBytes + static_cast<std::size_t>(bytes) + code_length.size() +
         (options_.checksum ? kChecksumBytes : 0);
}

ChunkTrack FrameWriter::open(const Coding& coding) {
  const Layout layout = coding.encoder == nullptr ? Layout::kClassic : coding.encoder->layout();
  const std::uint8_t book_flag = coding.shared.empty() ? 0 : kSharedBookFlag;
  std::vector<std::uint8_t> head =
      frame_head(view_, options_, layout, book_flag, coding.code_book().size());
  if (codec_.whole_runs) {
    for (const std::uint64_t overhang : overhangs_) append_varint(head, overhang);
  }
  std::uint8_t* const directory = append(out_.data(), head);
  payloads_ = directory + array_.size() * kChunkEntryBytes;
  return {coding.encoder, view_.dtype, directory, payloads_};
}

std::size_t FrameWriter::close(const WrittenChunks& chunks, const Coding& coding) {
  std::vector<std::uint8_t> code_length;
  append_varint(code_length, chunks.code_length);
  std::uint8_t* const tail = payloads_ + chunks.size;
  std::uint8_t* end = append(append(tail, coding.code_book()), code_length);
  if (options_.checksum) {
    Crc32c all({out_.data(), payloads_});
    all.append(chunks.crc);
    all.extend({tail, end});
    const std::uint32_t crc = all.value();
    std::memcpy(end, &crc, kChecksumBytes);
    end += kChecksumBytes;
  }
  return static_cast<std::size_t>(end - out_.data());
}

}  // namespace gradwire
