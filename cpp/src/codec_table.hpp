#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "element_source.hpp"
#include "elements.hpp"
#include "executor.hpp"
#include "gradwire/codec.hpp"

namespace gradwire {

/// An array cut into chunks: chunk i holds the elements borders[i] to borders[i + 1].
struct ChunkedArray {
  Elements elements;  ///< its data is null if a source makes them
  std::vector<std::uint64_t> borders;
  int threads;
  const ElementSource* source = nullptr;
  std::size_t number = 0;  ///< of the array among those of the source

  std::size_t size() const { return borders.size() - 1; }
  Elements chunk(std::size_t i) const { return elements.slice(borders[i], borders[i + 1]); }
  void for_each_chunk(const std::function<void(std::size_t, const Elements&)>& body) const {
    for_each(size(), threads, [&](std::size_t i) { body(i, chunk(i)); });
  }
};

struct EncodedChunk {
  std::optional<std::size_t> size;  ///< bytes written; nothing if they found no room
  std::uint64_t code_length;        ///< bits of the chunk's code words, written or not
};

/// Puts `front`, whose code length is `bits`, before what `encode` writes to the room that is left.
template <typename F>
EncodedChunk behind(std::span<const std::uint8_t> front, std::uint64_t bits,
                    std::span<std::uint8_t> out, F&& encode) {
  const bool fits = front.size() <= out.size();
  if (fits) std::copy(front.begin(), front.end(), out.begin());
  EncodedChunk result = encode(fits ? out.subspan(front.size()) : std::span<std::uint8_t>{});
  result.code_length += bits;
  result.size = fits && result.size ? std::optional(*result.size + front.size()) : std::nullopt;
  return result;
}

/// The order of the bits of code words (FORMAT.md, section 5.3).
enum class Layout : std::uint8_t { kClassic, kPivot };

/// Codes the chunks of one array. Immutable, so that threads may share it.
class Encoder {
 public:
  virtual ~Encoder() = default;
  virtual std::span<const std::uint8_t> code_book() const = 0;
  virtual Layout layout() const { return Layout::kClassic; }
  /// Writes the payload of one chunk to `out`, and nothing past it.
  virtual EncodedChunk encode(const Elements& chunk, std::span<std::uint8_t> out) const = 0;
};

/// Decodes the chunks of one frame. Immutable.
class Decoder {
 public:
  virtual ~Decoder() = default;
  /// Fills `count` elements at `out` from exactly `payload`, or throws CorruptFrameError.
  /// Bytes from the payload's end up to `readable_end` may be read, but mean nothing.
  virtual void decode(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
                      std::uint8_t* out, std::size_t count) const = 0;
};

/// What a frame says of its array.
struct CodedArray {
  DType dtype;
  std::uint64_t count;  ///< of elements
  Layout layout;
};

/// One row of the codec table.
struct Codec {
  CodecInfo info;
  bool whole_runs;  ///< chunk borders move to the next start of a run, so that no run is cut
  bool has_pivot_layout;
  bool takes_source;  ///< the encoder needs a sample only, and chunks one by one
  /// Nothing if the alphabet is too large for a code book: the array is stored raw.
  std::unique_ptr<Encoder> (*make_encoder)(const ChunkedArray& array, const Options& options);
  /// Throws CorruptFrameError if the code book is damaged.
  std::unique_ptr<Decoder> (*make_decoder)(std::span<const std::uint8_t> code_book,
                                           const CodedArray& array);
};

/// The row of a codec, or nullptr for an unknown number.
const Codec* find_codec(std::uint8_t id);

// The codecs, each in the file of its name.
extern const Codec kRunLengthCodec;
extern const Codec kHuffmanCodec;
extern const Codec kEliasOmegaCodec;
extern const Codec kSampleHuffmanCodec;
extern const Codec kSampleHuffmanSparsityCodec;
extern const Codec kRunLengthHuffmanCodec;
extern const Codec kEntropyCodec;

}  // namespace gradwire
