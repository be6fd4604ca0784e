#pragma once

#include <memory>
#include <vector>

#include "codecs/codec_table.hpp"
#include "prefix/code_book.hpp"
#include "prefix/prefix_code.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {

/// The part that rlh and shs share: one code word per run of a value (FORMAT.md, section 5.4).

/// Most code words of a code book whose symbols become tokens of one byte, which are coded like the
/// elements of huffman.
inline constexpr std::size_t kMostRunTokens = 256;

/// What an encoder of runs is made from.
struct RunModel {
  std::vector<Symbol> symbols;         ///< ascending
  std::vector<std::uint64_t> weights;  ///< of the symbols; the code is optimal for them
  std::uint64_t escape_weight = 0;     ///< 0: no escape, every run is in the book
  /// Most zeros in a run; other values are coded one by one. 0: runs of all values are whole.
  std::uint64_t max_run = 0;
  ExpectedWords expected = 0;
  KeyRange range{};  ///< keys of the array's values
};

std::unique_ptr<Encoder> make_run_encoder(RunModel model, DType dtype);

std::unique_ptr<Decoder> make_run_decoder(std::span<const std::uint8_t> code_book,
                                          const CodedArray& array);

}  // namespace gradwire
