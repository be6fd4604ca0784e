#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/byte_io.hpp"
#include "base/coder.hpp"
#include "codecs/entropy/bins.hpp"
#include "codecs/entropy/block_model.hpp"

namespace gradwire {

/// What becomes of a sequence of elements before blocks of bytes are coded (FORMAT.md, section
/// 5.6). Other sequences are made of it, each of which has a form, too.
enum class FormKind : std::uint8_t {
  kBlocks,       ///< coded as bytes, in blocks
  kBins,         ///< symbols of bins, and fields of plain bits
  kGaps,         ///< the elements other than the most frequent one, and the gaps between them
  kRuns,         ///< the values of runs of equal elements, and the runs' lengths
  kDifferences,  ///< differences of neighbors
  kCodec,        ///< coded by another codec; whole chunks only
  kPairs,        ///< bytes below a small number, two at a time
};

/// How another codec codes chunks.
struct OtherCodec {
  std::uint8_t number = 0;
  Layout layout = Layout::kClassic;
  std::vector<std::uint8_t> code_book;
  std::shared_ptr<const Encoder> encoder;  ///< for encoders
};

struct Form {
  FormKind kind = FormKind::kBlocks;
  DType dtype = DType::kUInt8;
  BlockModel blocks{};           ///< of kBlocks
  Bins bins{};                   ///< of kBins
  std::uint64_t background = 0;  ///< bits of the most frequent element, of kGaps
  OtherCodec codec{};            ///< of kCodec
  std::uint8_t base = 0;         ///< of kPairs: bytes are below it, and it is at most kMostBase
  std::vector<Form> parts{};     ///< forms of the sequences that are made
};

inline constexpr std::uint8_t kMostBase = 16;  // so that a pair is a byte

/// dtype of gaps and lengths, which do not exceed the elements of a chunk.
inline constexpr DType kCounts = DType::kUInt32;

/// Elements as bytes, in blocks.
inline Form form_of(BlockModel blocks, DType dtype) {
  return {.kind = FormKind::kBlocks, .dtype = dtype, .blocks = std::move(blocks)};
}

/// The dtypes of the sequences that a form makes.
std::vector<DType> part_dtypes(FormKind kind, DType dtype);

void append_form(std::vector<std::uint8_t>& out, const Form& form);

/// Takes a form off the front of a code book. Throws CorruptFrameError if it is damaged.
Form read_form(ByteReader& code_book, DType dtype);

}  // namespace gradwire
