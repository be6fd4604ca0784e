#pragma once

#include "codecs/entropy/form.hpp"
#include "codecs/entropy/sequence_coder.hpp"
#include "prefix/prefix_code.hpp"

namespace gradwire {

/// Coding of sequences in forms (FORMAT.md, section 5.6). `elements`: about how many there are.

std::unique_ptr<SequenceEncoder> make_form_encoder(const Form& form, ExpectedWords elements);

/// Throws CorruptFrameError if a code book is damaged.
std::unique_ptr<SequenceDecoder> make_form_decoder(const Form& form, ExpectedWords elements);

}  // namespace gradwire
