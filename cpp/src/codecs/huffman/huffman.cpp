// Huffman codec: a canonical Huffman code from the exact histogram (FORMAT.md, section 5.3).

#include "codecs/codec_table.hpp"
#include "prefix/code_words.hpp"
#include "prefix/value_code.hpp"

namespace gradwire {

const Codec kHuffmanCodec = {
    .info = {CodecId::kHuffman, "huffman", "Huffman"},
    .has_pivot_layout = true,
    .make_encoder = [](const ChunkedArray& array, const Options&) -> std::unique_ptr<Encoder> {
      const auto counts = count_values(array);
      return counts ? make_value_encoder(array, *counts, Exceptions::kNone, Layouts::kAny)
                    : nullptr;
    },
    .make_decoder =
        [](std::span<const std::uint8_t> code_book, const CodedArray& array) {
          return make_value_decoder(code_book, array, Exceptions::kNone);
        },
    .code_words = code_words_of_values,
};

}  // namespace gradwire
