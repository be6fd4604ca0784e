#include "frame/frame_writer.hpp"

#include <algorithm>
#include <cstring>

#include "base/byte_io.hpp"
#include "base/executor.hpp"
#include "codecs/loaded_code_book.hpp"
#include "frame/frame_header.hpp"

namespace gradwire {
namespace {

/// How many elements each border moves forward, so that the chunk before it ends with a whole run.
std::vector<std::uint64_t> find_overhangs(const Elements& elements, bool whole_runs) {
  const std::size_t chunks = chunk_count(elements.count);
  std::vector<std::uint64_t> overhangs(chunks == 0 ? 0 : chunks - 1);
  if (!whole_runs) return overhangs;
  std::uint64_t border = 0;
  for (std::size_t i = 0; i < overhangs.size(); ++i) {
    const std::uint64_t nominal = static_cast<std::uint64_t>(i + 1) << kChunkLog2;
    border = std::max(border, nominal);
    if (border < elements.count) border = run_end(elements, border - 1);
    overhangs[i] = border - nominal;
  }
  return overhangs;
}

/// Everything before the overhangs and the chunk directory.
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

std::uint8_t* append(std::uint8_t* place, std::span<const std::uint8_t> bytes) {
  return std::copy(bytes.begin(), bytes.end(), place);
}

}  // namespace

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

/// Stores the array raw if code words would not make the frame smaller.
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
  if (options_.code_book && codec_.shares_code_books && options_.code_book->loaded().fits(array_)) {
    const LoadedCodeBook& book = options_.code_book->loaded();
    const std::uint64_t name = book.name();
    coding.shared.resize(kBookNameBytes);
    std::memcpy(coding.shared.data(), &name, kBookNameBytes);
    coding.encoder = &book.encoder();
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
