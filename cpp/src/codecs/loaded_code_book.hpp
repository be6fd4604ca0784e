#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/chunked_array.hpp"
#include "base/coder.hpp"
#include "gradwire/shared_code_book.hpp"

namespace gradwire {

/// Bytes of the name of a shared code book in a frame.
inline constexpr std::size_t kBookNameBytes = 8;

/// What codes with a shared code book, and what it codes.
struct BookCoders {
  DType dtype;
  std::uint64_t smallest;  ///< key of the smallest value; the largest is at most 255 more
  std::unique_ptr<Encoder> encoder;
  std::unique_ptr<Decoder> decoder;
};

/// A shared code book, ready to code.
class LoadedCodeBook {
 public:
  /// `bytes`: of the shared code book; `code_book`: the part of it that stands in frames that carry
  /// their own.
  LoadedCodeBook(std::vector<std::uint8_t> bytes, std::span<const std::uint8_t> code_book,
                 BookCoders coders);

  std::span<const std::uint8_t> bytes() const { return bytes_; }
  DType dtype() const { return coders_.dtype; }
  std::uint64_t name() const { return name_; }
  std::span<const std::uint8_t> code_book() const { return code_book_; }
  const Encoder& encoder() const { return *coders_.encoder; }
  const Decoder& decoder() const { return *coders_.decoder; }
  /// Whether an array, which has elements, can be coded with it.
  bool fits(const ChunkedArray& array) const;

 private:
  std::vector<std::uint8_t> bytes_;
  std::span<const std::uint8_t> code_book_;  // part of bytes_
  BookCoders coders_;
  std::uint64_t name_;
};

/// Lets frames name a code book as long as the result exists, which is an equal one if there was
/// one already. Throws CorruptFrameError if another one has its name.
std::shared_ptr<const LoadedCodeBook> publish(std::shared_ptr<const LoadedCodeBook> book);

/// The code book that a frame names. Throws MissingCodeBookError.
std::shared_ptr<const LoadedCodeBook> find_code_book(std::span<const std::uint8_t> name);

}  // namespace gradwire
