#pragma once

#include <vector>

#include "codec_table.hpp"
#include "gradwire/shared_code_book.hpp"

namespace gradwire {

inline constexpr std::size_t kBookNameBytes = 8;

/// The one kind of SharedCodeBook, ready to code.
class LoadedCodeBook final : public SharedCodeBook {
 public:
  explicit LoadedCodeBook(std::span<const std::uint8_t> bytes);

  std::span<const std::uint8_t> bytes() const override { return bytes_; }
  DType dtype() const { return dtype_; }
  std::uint64_t name() const { return name_; }
  /// What stands in its place in a frame.
  std::span<const std::uint8_t> code_book() const { return code_book_; }
  const Encoder& encoder() const { return *encoder_; }
  const Decoder& decoder() const { return *decoder_; }
  /// Whether an array, which has elements, can be coded with it.
  bool fits(const ChunkedArray& array) const;

 private:
  std::vector<std::uint8_t> bytes_;
  std::span<const std::uint8_t> code_book_;  // part of bytes_
  DType dtype_;
  std::uint64_t smallest_;
  std::uint64_t name_;
  std::unique_ptr<Encoder> encoder_;
  std::unique_ptr<Decoder> decoder_;
};

/// The code book that a frame names. Throws MissingCodeBookError.
std::shared_ptr<const LoadedCodeBook> find_code_book(std::span<const std::uint8_t> name);

}  // namespace gradwire
