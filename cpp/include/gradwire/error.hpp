#pragma once

#include <stdexcept>
#include <string>

namespace gradwire {

/// Base of all errors about a frame or a buffer. A wrong argument throws std::invalid_argument
/// instead.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The bytes are not a frame, or were altered in transit.
class CorruptFrameError : public Error {
 public:
  using Error::Error;
};

/// The bytes end before the frame does.
class TruncatedFrameError : public CorruptFrameError {
 public:
  using CorruptFrameError::CorruptFrameError;
};

/// A version, codec, layout or dtype that this build does not know.
class UnsupportedFormatError : public Error {
 public:
  using Error::Error;
};

/// The frame needs a shared code book that is not loaded in this process.
class MissingCodeBookError : public Error {
 public:
  using Error::Error;
};

/// The caller's buffer is too small for the result.
class BufferTooSmallError : public Error {
 public:
  using Error::Error;
};

}  // namespace gradwire
