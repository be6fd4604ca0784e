#pragma once

#include <cstdint>
#include <span>

#include "gradwire/array.hpp"
#include "gradwire/frame.hpp"

namespace gradwire {

/// Reads the code book of rle; `minimum` is a key. Throws CorruptFrameError if it is damaged.
RunLengthWidths read_run_length_widths(std::span<const std::uint8_t> code_book, DType dtype);

}  // namespace gradwire
