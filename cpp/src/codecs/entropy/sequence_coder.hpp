#pragma once

#include <cstdint>
#include <memory>

#include "base/byte_io.hpp"
#include "base/elements.hpp"
#include "codecs/entropy/payload.hpp"

namespace gradwire {

// Coders of the parts of a chunk: its bytes, or what forms make of it (FORMAT.md, sections 5.5 and
// 5.6). All are immutable, so that threads may share them.

class SequenceEncoder {
 public:
  virtual ~SequenceEncoder() = default;
  /// Appends the code of a sequence, which must not be empty, and adds its bits to `code_length`.
  virtual void encode(const Elements& sequence, Payload& payload,
                      std::uint64_t& code_length) const = 0;
};

class SequenceDecoder {
 public:
  virtual ~SequenceDecoder() = default;
  /// Takes `count` elements, at least one, off the payload. Bytes up to `readable_end` may be read,
  /// but have no effect. Throws CorruptFrameError if the payload is damaged.
  virtual void decode(ByteReader& payload, const std::uint8_t* readable_end, std::uint8_t* out,
                      std::size_t count) const = 0;
};

}  // namespace gradwire
