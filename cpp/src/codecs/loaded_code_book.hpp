#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/chunked_array.hpp"
#include "base/coder.hpp"
#include "gradwire/shared_code_book.hpp"

namespace gradwire {

/// Size in bytes of the name of a shared code book in a frame.
inline constexpr std::size_t kBookNameBytes = 8;

/// The coders that use a shared code book, and the values that it covers.
struct BookCoders {
  DType dtype;
  /// Key of the smallest value, if the largest can be at most 255 more.
  std::optional<std::uint64_t> smallest;
  std::unique_ptr<Encoder> encoder;
  std::unique_ptr<Decoder> decoder;
};

/// A shared code book, ready to code.
class LoadedCodeBook {
 public:
  /// `bytes`: the serialized shared code book; `code_book`: the part of it that frames with a code
  /// book would carry.
  LoadedCodeBook(std::vector<std::uint8_t> bytes, std::span<const std::uint8_t> code_book,
                 BookCoders coders);

  std::span<const std::uint8_t> bytes() const { return bytes_; }
  DType dtype() const { return coders_.dtype; }
  std::uint64_t name() const { return name_; }
  std::span<const std::uint8_t> code_book() const { return code_book_; }
  const Encoder& encoder() const { return *coders_.encoder; }
  const Decoder& decoder() const { return *coders_.decoder; }
  /// Whether an array, which must not be empty, can be coded with this book.
  bool fits(const ChunkedArray& array) const;

 private:
  std::vector<std::uint8_t> bytes_;
  std::span<const std::uint8_t> code_book_;  // part of bytes_
  BookCoders coders_;
  std::uint64_t name_;
};

/// Lets frames name a code book as long as the returned object exists; that is an equal book if one
/// is already loaded. Throws CorruptFrameError if a different book has the same name.
std::shared_ptr<const LoadedCodeBook> publish(std::shared_ptr<const LoadedCodeBook> book);

/// The code book that a frame names. Throws MissingCodeBookError if it is not loaded, and
/// CorruptFrameError if it belongs to frames of another dtype or layout.
std::shared_ptr<const LoadedCodeBook> find_code_book(std::span<const std::uint8_t> name,
                                                     DType dtype, Layout layout);

}  // namespace gradwire
