#pragma once

#include <optional>

#include "base/chunked_array.hpp"
#include "codecs/entropy/fit_form.hpp"

namespace gradwire {

/// Another codec that takes fewer bits than `best` for an array, judged by a sample: huffman for
/// many frequent values in no order, rlh for runs whose lengths depend on their values.
std::optional<FittedForm> fit_codec(const ChunkedArray& array, const Elements& sample,
                                    Sampled sampled, const FittedForm& best);

}  // namespace gradwire
