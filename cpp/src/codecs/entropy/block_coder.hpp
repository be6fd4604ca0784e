#pragma once

#include "codecs/entropy/block_model.hpp"
#include "codecs/entropy/sequence_coder.hpp"
#include "prefix/prefix_code.hpp"

namespace gradwire {

/// Coding of blocks in classes; each class has a code of tokens (FORMAT.md, section 5.5).

std::unique_ptr<SequenceEncoder> make_block_encoder(const BlockModel& model,
                                                    ExpectedWords elements);

/// `count`: number of elements in the array. Throws CorruptFrameError if a code book is damaged.
std::unique_ptr<SequenceDecoder> make_block_decoder(const BlockModel& model, DType dtype,
                                                    std::uint64_t count);

}  // namespace gradwire
