#pragma once

#include "codecs/codec_table.hpp"
#include "codecs/entropy/entropy_model.hpp"
#include "prefix/prefix_code.hpp"

namespace gradwire {

/// Coding of blocks in classes; each class has a code of tokens (FORMAT.md, section 5.5).

std::unique_ptr<Encoder> make_entropy_encoder(EntropyModel model, DType dtype,
                                              ExpectedWords elements);

/// The book must have classes. `count`: number of elements in the array.
std::unique_ptr<Decoder> make_entropy_decoder(const EntropyBook& book, DType dtype,
                                              std::uint64_t count);

}  // namespace gradwire
