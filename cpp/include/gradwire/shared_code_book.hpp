#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "gradwire/array.hpp"

namespace gradwire {

class LoadedCodeBook;

/// A code book of the codec entropy that frames name instead of carrying it, for many small arrays
/// and for the steps of a training run (FORMAT.md, section 8). Immutable.
///
/// This process decodes such frames as long as one of these objects for their code book exists.
class SharedCodeBook {
 public:
  /// Fits a code book to an array like those that will follow, of the same dtype.
  /// Throws std::invalid_argument if it is empty, or its values lie more than 255 apart.
  static std::shared_ptr<const SharedCodeBook> fit(const ArrayView& sample);

  /// From the bytes() of another process. Throws CorruptFrameError or UnsupportedFormatError.
  static std::shared_ptr<const SharedCodeBook> read(std::span<const std::uint8_t> bytes);

  /// For read() in another process.
  std::span<const std::uint8_t> bytes() const;

  /// For the library itself: what codes with it.
  explicit SharedCodeBook(std::shared_ptr<const LoadedCodeBook> loaded)
      : loaded_(std::move(loaded)) {}
  const LoadedCodeBook& loaded() const { return *loaded_; }

 private:
  std::shared_ptr<const LoadedCodeBook> loaded_;
};

}  // namespace gradwire
