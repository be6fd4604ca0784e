#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/chunked_array.hpp"
#include "base/coder.hpp"
#include "gradwire/codec.hpp"
#include "gradwire/frame.hpp"

namespace gradwire {

/// One row of the codec table: all that frames need to know about a codec.
struct Codec {
  CodecInfo info;
  /// Whether each chunk border moves to the next start of a run, so that no run is cut.
  bool whole_runs = false;
  bool has_pivot_layout = false;
  /// Whether a code book may describe forms; such frames have a layout of their own.
  bool has_forms = false;
  /// Whether the encoder needs only a sample of the array and can then take its chunks one by one.
  bool takes_source = false;
  /// Whether frames may name a shared code book instead of carrying one.
  bool shares_code_books = false;
  /// Returns null if no code book suits the array, for example if its alphabet is too large; the
  /// array is then stored raw.
  std::unique_ptr<Encoder> (*make_encoder)(const ChunkedArray& array, const Options& options);
  /// Throws CorruptFrameError if the code book is damaged.
  std::unique_ptr<Decoder> (*make_decoder)(std::span<const std::uint8_t> code_book,
                                           const CodedArray& array);
  /// Lists the code words of a code book; null if code books have none.
  std::vector<CodeWord> (*code_words)(std::span<const std::uint8_t> code_book,
                                      const CodedArray& array) = nullptr;
  /// Reads the bit widths from a code book; null if code books have none.
  RunLengthWidths (*widths)(std::span<const std::uint8_t> code_book, DType dtype) = nullptr;
};

/// The row of a codec, or nullptr for an unknown number.
const Codec* find_codec(std::uint8_t id);

// The codecs; each is defined in a file of its name in one of the subfolders.
extern const Codec kRunLengthCodec;
extern const Codec kHuffmanCodec;
extern const Codec kEliasOmegaCodec;
extern const Codec kSampleHuffmanCodec;
extern const Codec kSampleHuffmanSparsityCodec;
extern const Codec kRunLengthHuffmanCodec;
extern const Codec kEntropyCodec;

}  // namespace gradwire
