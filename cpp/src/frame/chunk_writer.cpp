#include "frame/chunk_writer.hpp"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <optional>

#include "base/executor.hpp"
#include "base/scratch.hpp"
#include "frame/frame_header.hpp"

namespace gradwire {
namespace {

struct WrittenChunk {
  const std::uint8_t* place;
  std::uint32_t entry;  // in the chunk directory
  std::uint64_t code_length;
  Crc32c crc;  // of the payload, computed while it is in the cache

  std::size_t size() const { return entry & ~kRawChunkFlag; }
};

/// Writes one chunk to the front of `out`, coded if that is smaller than raw. Its elements may
/// already lie there.
WrittenChunk write_chunk(const Encoder* encoder, const Elements& chunk, std::uint8_t* out) {
  const std::size_t raw_size = chunk.nbytes();
  if (chunk.count == 0) return {out, 0, 0, {}};
  EncodedChunk encoded{std::nullopt, 8 * std::uint64_t{raw_size}};
  if (encoder != nullptr) encoded = encoder->encode(chunk, {out, raw_size - 1});
  if (!encoded.size && chunk.data != out) std::memcpy(out, chunk.data, raw_size);
  const std::size_t size = encoded.size.value_or(raw_size);
  const std::uint32_t raw = encoded.size ? 0 : kRawChunkFlag;
  return {out, static_cast<std::uint32_t>(size) | raw, encoded.code_length, Crc32c({out, size})};
}

/// Hands out the chunks of an array. Each thread takes the chunks of one region from the front.
/// When these are gone, it takes chunks from the end of the region that has the most left.
class ChunkQueue {
 public:
  ChunkQueue(std::size_t chunks, std::size_t regions) {
    for (std::size_t r = 0; r < regions; ++r) {
      left_.push_back({r * chunks / regions, (r + 1) * chunks / regions});
    }
  }
  struct Taken {
    std::size_t chunk;
    bool is_own;
  };
  /// Returns nullopt if no chunk is left.
  std::optional<Taken> take(std::size_t region) {
    const std::lock_guard lock(mutex_);
    if (Range& own = left_[region]; own.size() > 0) return Taken{own.begin++, true};
    Range& other =
        *std::max_element(left_.begin(), left_.end(),
                          [](const Range& a, const Range& b) { return a.size() < b.size(); });
    if (other.size() == 0) return std::nullopt;
    return Taken{--other.end, false};
  }

 private:
  struct Range {
    std::size_t begin;
    std::size_t end;
    std::size_t size() const { return end - begin; }
  };
  std::mutex mutex_;
  std::vector<Range> left_;
};

/// Like memmove to a lower address, but on all threads: a piece that is no longer than the distance
/// of the move does not overlap its destination.
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

/// Moves chunks to their final places and fills in their directory. Chunks without a gap between
/// them move as one piece.
WrittenChunks close_up(std::span<const WrittenChunk> chunks, const ChunkTrack& track, int threads) {
  WrittenChunks total;
  for (std::size_t i = 0; i < chunks.size();) {
    const std::uint8_t* const begin = chunks[i].place;
    const std::uint8_t* end = begin;
    for (; i < chunks.size() && chunks[i].place == end; ++i) {
      end += chunks[i].size();
      std::memcpy(track.directory + i * kChunkEntryBytes, &chunks[i].entry, kChunkEntryBytes);
      total.code_length += chunks[i].code_length;
      total.crc.append(chunks[i].crc);
    }
    const auto size = static_cast<std::size_t>(end - begin);
    move_down(track.payloads + total.size, begin, size, threads);
    total.size += size;
  }
  return total;
}

}  // namespace

std::size_t chunk_count(std::uint64_t elements) {
  return static_cast<std::size_t>((elements + (std::uint64_t{1} << kChunkLog2) - 1) >> kChunkLog2);
}

/// Each thread fills one region, which has room for its chunks if they are raw. It writes a chunk
/// of another region to where that would be if all chunks were raw. In the end, the gaps are
/// closed.
std::vector<WrittenChunks> write_chunks(const ChunkedArray& array,
                                        std::span<const ChunkTrack> tracks) {
  const std::size_t chunks = array.size();
  const std::size_t regions =
      std::min<std::size_t>(chunks, static_cast<std::size_t>(array.threads));
  std::vector<WrittenChunk> written(tracks.size() * chunks);
  ChunkQueue queue(chunks, regions);
  for_each(regions, array.threads, [&](std::size_t region) {
    std::vector<std::uint8_t*> next;
    while (const auto taken = queue.take(region)) {
      const std::size_t i = taken->chunk;
      std::vector<std::uint8_t*> outs = next;
      if (!taken->is_own || next.empty()) {
        const std::size_t offset = array.borders[i] * array.elements.width();
        outs.clear();
        for (const ChunkTrack& track : tracks) outs.push_back(track.payloads + offset);
      }
      std::vector<std::uint8_t*> made = outs;  // a chunk that is stored raw is made in its place
      const Scratch room(array.source == nullptr ? 0 : tracks.size() << kChunkLog2);
      if (array.source != nullptr) {
        for (std::size_t k = 0; k < tracks.size(); ++k) {
          if (tracks[k].encoder != nullptr) made[k] = room.data() + (k << kChunkLog2);
        }
        array.source->take(array.borders[i], array.borders[i + 1], made.data());
      }
      const auto count = static_cast<std::size_t>(array.borders[i + 1] - array.borders[i]);
      for (std::size_t k = 0; k < tracks.size(); ++k) {
        const Elements chunk =
            array.source == nullptr ? array.chunk(i) : Elements{made[k], count, tracks[k].dtype};
        WrittenChunk& own = written[k * chunks + i];
        own = write_chunk(tracks[k].encoder, chunk, outs[k]);
        outs[k] += own.size();
      }
      if (taken->is_own) next = std::move(outs);
    }
  });
  std::vector<WrittenChunks> totals;
  for (std::size_t k = 0; k < tracks.size(); ++k) {
    totals.push_back(
        close_up(std::span(written).subspan(k * chunks, chunks), tracks[k], array.threads));
  }
  return totals;
}

}  // namespace gradwire
