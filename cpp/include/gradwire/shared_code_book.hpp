#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "gradwire/array.hpp"

namespace gradwire {

class LoadedCodeBook;

/// A code book of the codec entropy that frames name instead of carrying it. It serves many small
/// arrays, or the steps of a training run (FORMAT.md, section 8). Immutable.
///
/// This process can decode frames that name a code book only while an object of that code book
/// exists.
class SharedCodeBook {
 public:
  /// Fits a code book to a sample that resembles the arrays to come and has the same dtype. Throws
  /// std::invalid_argument if the sample is empty.
  static std::shared_ptr<const SharedCodeBook> fit(const ArrayView& sample);

  /// Loads a code book from the bytes() of another process. Throws CorruptFrameError or
  /// UnsupportedFormatError.
  static std::shared_ptr<const SharedCodeBook> read(std::span<const std::uint8_t> bytes);

  /// The serialized code book, for read() in another process.
  std::span<const std::uint8_t> bytes() const;

  /// For use inside the library: the loaded form, with its encoder and decoder.
  explicit SharedCodeBook(std::shared_ptr<const LoadedCodeBook> loaded)
      : loaded_(std::move(loaded)) {}
  const LoadedCodeBook& loaded() const { return *loaded_; }

 private:
  std::shared_ptr<const LoadedCodeBook> loaded_;
};

}  // namespace gradwire
