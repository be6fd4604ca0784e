#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>

#include "codec_table.hpp"
#include "crc32c.hpp"
#include "executor.hpp"
#include "frame_header.hpp"
#include "gradwire/frame.hpp"
#include "shared_code_book.hpp"
#include "streaming.hpp"
#include "varint.hpp"

namespace gradwire {
namespace {

constexpr std::size_t kMaxVarint = 10;
/// Larger than any code book of entropy for bytes: no more than kMaxClasses of 256 symbols each.
constexpr std::size_t kMostStreamedBook = std::size_t{1} << 16;

std::size_t chunk_count(std::uint64_t elements) {
  return static_cast<std::size_t>((elements + (std::uint64_t{1} << kChunkLog2) - 1) >> kChunkLog2);
}

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

struct WrittenChunks {
  std::size_t size = 0;
  std::uint64_t code_length = 0;
  Crc32c crc;  // of all payloads
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

/// Chunk i. If a source makes it, it lies at `raw`, or if that is null, where this thread makes the
/// next one.
Elements taken_chunk(const ChunkedArray& array, std::size_t i, std::uint8_t* raw) {
  if (array.source == nullptr) return array.chunk(i);
  thread_local std::vector<std::uint8_t> bytes(std::size_t{1} << kChunkLog2);
  std::uint8_t* const made = raw == nullptr ? bytes.data() : raw;
  array.source->take(array.borders[i], array.borders[i + 1], made);
  const auto count = static_cast<std::size_t>(array.borders[i + 1] - array.borders[i]);
  return {made, count, array.elements.dtype};
}

/// Writes the payloads to `out`, close together, and their directory entries to `directory`.
/// Each thread fills a region of its own that could hold its chunks raw; then the regions close up.
WrittenChunks write_chunks(const Encoder* encoder, const ChunkedArray& array,
                           std::uint8_t* directory, std::uint8_t* out) {
  const std::size_t chunks = array.size();
  const std::size_t regions =
      std::min<std::size_t>(chunks, static_cast<std::size_t>(array.threads));
  std::vector<WrittenChunk> written(chunks);
  std::vector<std::size_t> region_size(regions);
  const auto first_chunk = [&](std::size_t region) { return region * chunks / regions; };
  const auto region_place = [&](std::size_t region) {
    return array.borders[first_chunk(region)] * array.elements.width();
  };
  for_each(regions, array.threads, [&](std::size_t region) {
    std::uint8_t* const begin = out + region_place(region);
    std::uint8_t* next = begin;
    for (std::size_t i = first_chunk(region); i < first_chunk(region + 1); ++i) {
      const Elements chunk = taken_chunk(array, i, encoder == nullptr ? next : nullptr);
      written[i] = write_chunk(encoder, chunk, next);
      next += written[i].size();
    }
    region_size[region] = static_cast<std::size_t>(next - begin);
  });
  WrittenChunks total;
  for (std::size_t region = 0; region < regions; ++region) {
    std::memmove(out + total.size, out + region_place(region), region_size[region]);
    total.size += region_size[region];
  }
  for (std::size_t i = 0; i < chunks; ++i) {
    std::memcpy(directory + i * kChunkEntryBytes, &written[i].entry, kChunkEntryBytes);
    total.code_length += written[i].code_length;
    total.crc.append(written[i].crc);
  }
  return total;
}

/// Writes one frame: head, directory, payloads, code book, code length, checksum.
class FrameWriter {
 public:
  FrameWriter(const ArrayView& view, const Options& options, std::span<std::uint8_t> out,
              const ElementSource* source = nullptr)
      : view_(view),
        options_(options),
        out_(out),
        codec_(*find_codec(static_cast<std::uint8_t>(options.codec))) {
    array_.elements = {static_cast<const std::uint8_t*>(view.data),
                       static_cast<std::size_t>(element_count(view.shape, view.dtype)), view.dtype};
    array_.threads = usable_threads(options.threads);
    array_.source = source;
    overhangs_ = find_overhangs(array_.elements, codec_.whole_runs);
    array_.borders = chunk_borders(array_.elements.count, kChunkLog2, overhangs_);
  }

  std::size_t write_raw() { return finish(write_payloads(nullptr, 0), {}); }

  std::size_t write() {
    if (array_.elements.count == 0) return write_raw();
    if (const auto* book = fitting_code_book()) {
      std::uint8_t name[kBookNameBytes];
      const std::uint64_t number = book->name();
      std::memcpy(name, &number, kBookNameBytes);
      return write_with(book->encoder(), kSharedBookFlag, name);
    }
    const std::unique_ptr<Encoder> encoder = codec_.make_encoder(array_, options_);
    if (!encoder) return write_raw();
    return write_with(*encoder, 0, encoder->code_book());
  }

 private:
  /// The shared code book, if there is one for this array.
  const LoadedCodeBook* fitting_code_book() const {
    const auto* book = static_cast<const LoadedCodeBook*>(options_.code_book.get());
    return book != nullptr && codec_.info.id == CodecId::kEntropy && book->fits(array_) ? book
                                                                                        : nullptr;
  }

  /// Writes the frame; raw, if its code words would not make it smaller. A source gives its
  /// elements only once: each chunk is no larger than raw then, but the code book may not be worth
  /// it.
  std::size_t write_with(const Encoder& encoder, std::uint8_t book_flag,
                         std::span<const std::uint8_t> code_book) {
    const WrittenChunks coded = write_payloads(&encoder, code_book.size(), book_flag);
    if (array_.source != nullptr || coded.size + code_book.size() < array_.elements.nbytes()) {
      return finish(coded, code_book);
    }
    WrittenChunks raw = write_payloads(nullptr, 0);
    raw.code_length = coded.code_length;
    return finish(raw, {});
  }

  /// Writes the frame up to its last payload; next_ is then the place behind it.
  WrittenChunks write_payloads(const Encoder* encoder, std::size_t code_book_size,
                               std::uint8_t book_flag = 0) {
    const Layout layout = encoder == nullptr ? Layout::kClassic : encoder->layout();
    std::vector<std::uint8_t> head = frame_head(view_, options_, layout, book_flag, code_book_size);
    if (codec_.whole_runs) {
      for (const std::uint64_t overhang : overhangs_) append_varint(head, overhang);
    }
    std::uint8_t* const directory = append(out_.data(), head);
    payloads_ = directory + array_.size() * kChunkEntryBytes;
    const WrittenChunks chunks = write_chunks(encoder, array_, directory, payloads_);
    next_ = payloads_ + chunks.size;
    return chunks;
  }

  /// Writes what follows the payloads; returns the size of the frame.
  std::size_t finish(const WrittenChunks& chunks, std::span<const std::uint8_t> code_book) {
    std::vector<std::uint8_t> code_length;
    append_varint(code_length, chunks.code_length);
    next_ = append(append(next_, code_book), code_length);
    if (options_.checksum) {
      Crc32c all({out_.data(), payloads_});
      all.append(chunks.crc);
      all.extend({payloads_ + chunks.size, next_});
      const std::uint32_t crc = all.value();
      std::memcpy(next_, &crc, kChecksumBytes);
      next_ += kChecksumBytes;
    }
    return static_cast<std::size_t>(next_ - out_.data());
  }

  static std::uint8_t* append(std::uint8_t* place, std::span<const std::uint8_t> bytes) {
    return std::copy(bytes.begin(), bytes.end(), place);
  }

  const ArrayView& view_;
  const Options& options_;
  std::span<std::uint8_t> out_;
  const Codec& codec_;
  ChunkedArray array_;
  std::vector<std::uint64_t> overhangs_;
  std::uint8_t* payloads_ = nullptr;
  std::uint8_t* next_ = nullptr;
};

}  // namespace

std::size_t max_compressed_size(const ArrayView& array) {
  const std::uint64_t count = element_count(array.shape, array.dtype);
  const std::size_t chunks = chunk_count(count);
  std::vector<std::uint8_t> shape;
  for (const std::uint64_t dimension : array.shape) append_varint(shape, dimension);
  constexpr std::size_t kCodeBookSize = kMaxVarint;
  const std::size_t fixed = kFixedHeaderBytes + kCodeBookSize + kMaxVarint + kChecksumBytes;
  return fixed + shape.size() + chunks * (kChunkEntryBytes + kMaxVarint) +
         static_cast<std::size_t>(count) * item_size(array.dtype);
}

std::size_t compress_into(const ArrayView& array, const Options& options,
                          std::span<std::uint8_t> out) {
  if (array.shape.size() > kMaxDimensions) {
    throw std::invalid_argument("an array may have 64 dimensions, not " +
                                std::to_string(array.shape.size()));
  }
  const auto* bytes = static_cast<const std::uint8_t*>(array.data);
  if (array.dtype == DType::kBool && !are_bools(bytes, element_count(array.shape, array.dtype))) {
    throw std::invalid_argument("an element of the bool array is neither 0 nor 1");
  }
  const std::size_t needed = max_compressed_size(array);
  if (out.size() < needed) {
    throw BufferTooSmallError("the buffer has " + std::to_string(out.size()) +
                              " bytes, compression may need " + std::to_string(needed));
  }
  return FrameWriter(array, options, out).write();
}

namespace {

/// Whether an array has several chunks: others are made as a whole.
bool is_streamed(std::uint64_t count) { return count > std::uint64_t{1} << kChunkLog2; }

}  // namespace

std::size_t max_streamed_size(std::span<const std::uint64_t> shape, DType dtype) {
  const std::size_t book = is_streamed(element_count(shape, dtype)) ? kMostStreamedBook : 0;
  return max_compressed_size({nullptr, dtype, shape}) + book;
}

std::size_t compress_source(const ElementSource& source, std::span<const std::uint64_t> shape,
                            DType dtype, const Options& options, std::span<std::uint8_t> out) {
  const std::uint64_t count = element_count(shape, dtype);
  if (is_streamed(count) && find_codec(static_cast<std::uint8_t>(options.codec))->takes_source) {
    return FrameWriter({nullptr, dtype, shape}, options, out, &source).write();
  }
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count) * item_size(dtype));
  for_each(chunk_count(count), usable_threads(options.threads), [&](std::size_t i) {
    const std::uint64_t begin = static_cast<std::uint64_t>(i) << kChunkLog2;
    const std::uint64_t end = std::min(count, begin + (std::uint64_t{1} << kChunkLog2));
    source.take(begin, end, bytes.data() + begin * item_size(dtype));
  });
  return compress_into({bytes.data(), dtype, shape}, options, out);
}

std::size_t store_source(const ElementSource& source, std::span<const std::uint64_t> shape,
                         DType dtype, const Options& options, std::span<std::uint8_t> out) {
  return FrameWriter({nullptr, dtype, shape}, options, out, &source).write_raw();
}

std::size_t store_into(const ArrayView& array, const Options& options,
                       std::span<std::uint8_t> out) {
  return FrameWriter(array, options, out).write_raw();
}

}  // namespace gradwire
