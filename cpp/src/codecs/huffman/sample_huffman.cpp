// Sample Huffman codec: like huffman, but from the histogram of a sample (FORMAT.md, section 5.3).
//
// The paper adds one to the count of every possible value, so that each has a code word. Even a
// single word for all unseen values costs 2.4 % on ternary data, since it adds a leaf to a tree of
// three. Here unseen values have no code word: the few elements that hold one are listed as
// exceptions.

#include <cmath>

#include "codecs/codec_table.hpp"
#include "prefix/code_words.hpp"
#include "prefix/value_code.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {

namespace {

/// Whether the list of exceptions and the code words would take more bits than the elements.
bool is_hopeless(const Sample& sample, const Elements& array) {
  double sampled = 0;
  for (const ValueCount& value : sample.values) sampled += static_cast<double>(value.count);
  double bits = 0;  // of the code word of an element
  for (const ValueCount& value : sample.values) {
    const double share = static_cast<double>(value.count) / sampled;
    bits -= share * std::log2(share);
  }
  const double unseen = sample.unseen_share() * (1 - sampled / static_cast<double>(array.count));
  const double width = bits_of(array.dtype);
  return bits + unseen * (width + 1) > width;
}

}  // namespace

const Codec kSampleHuffmanCodec = {
    .info = {CodecId::kSampleHuffman, "sh", "SampleHuffman"},
    .has_pivot_layout = true,
    .make_encoder = [](const ChunkedArray& array,
                       const Options& options) -> std::unique_ptr<Encoder> {
      const auto sample = sample_values(array, options);
      if (!sample || is_hopeless(*sample, array.elements)) return nullptr;
      return make_value_encoder(array, sample->values, Exceptions::kListed, Layouts::kAny);
    },
    .make_decoder =
        [](std::span<const std::uint8_t> code_book, const CodedArray& array) {
          return make_value_decoder(code_book, array, Exceptions::kListed);
        },
    .code_words = code_words_of_values,
};

}  // namespace gradwire
