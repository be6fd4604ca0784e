// Huffman codec: a canonical Huffman code from the exact histogram (FORMAT.md, section 5.3).

#include "codec_table.hpp"
#include "value_code.hpp"

namespace gradwire {

const Codec kHuffmanCodec = {
    {CodecId::kHuffman, "huffman", "Huffman"},
    false,
    true,
    false,
    [](const ChunkedArray& array, const Options&) -> std::unique_ptr<Encoder> {
      const auto counts = count_values(array);
      return counts ? make_value_encoder(array, *counts, Exceptions::kNone, Layouts::kAny)
                    : nullptr;
    },
    [](std::span<const std::uint8_t> code_book, const CodedArray& array) {
      return make_value_decoder(code_book, array, Exceptions::kNone);
    },
};

}  // namespace gradwire
