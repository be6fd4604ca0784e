#pragma once

#include "codecs/codec_table.hpp"
#include "codecs/entropy/entropy_model.hpp"

namespace gradwire {

/// Blocks in classes, each class with its own code of tokens (FORMAT.md, section 5.5).

/// `expected`: about how many elements will be encoded.
std::unique_ptr<Encoder> make_entropy_encoder(EntropyModel model, DType dtype,
                                              std::uint64_t expected);

/// The book has classes. `count`: elements of the array.
std::unique_ptr<Decoder> make_entropy_decoder(const EntropyBook& book, DType dtype,
                                              std::uint64_t count);

}  // namespace gradwire
