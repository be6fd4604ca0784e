#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/byte_io.hpp"
#include "codecs/codec_table.hpp"
#include "codecs/entropy/payload.hpp"
#include "codecs/entropy/token_book.hpp"
#include "prefix/prefix_code.hpp"

namespace gradwire {

/// Coding of sequences of bytes with token books (FORMAT.md, section 5.5).

/// Immutable after construction.
class TokenEncoder {
 public:
  /// `bytes`: about how many will be coded. `finds_unknown`: whether to look for bytes that cannot
  /// be coded; otherwise, there are none.
  TokenEncoder(CodeBook book, ExpectedWords bytes, bool finds_unknown);

  std::span<const std::uint8_t> code_book() const { return book_bytes_; }
  /// Whether the only bytes that can be coded are zeros, which take no bits.
  bool has_only_zeros() const { return !table_ && only_byte_ == 0; }

  /// Appends the code of a sequence, which must not be empty, and adds its bits to `code_length`.
  /// Returns the places of the bytes that cannot be coded; other bytes are coded instead.
  std::vector<std::uint32_t> encode(const Blocks& blocks, Payload& payload,
                                    std::uint64_t& code_length) const;

 private:
  void write_short(std::span<const std::uint8_t> tokens, Payload& payload,
                   std::uint64_t& code_length) const;
  void write_streams(std::span<const std::uint8_t> tokens, Payload& payload,
                     std::uint64_t& code_length) const;
  EncodedChunk streams_in(std::span<std::uint8_t> room, std::span<const std::uint8_t> tokens) const;

  std::vector<std::uint8_t> book_bytes_;
  PrefixCode code_;
  bool plain_;
  std::uint8_t only_byte_;  // of a code with one token
  bool finds_unknown_;      // in plain sequences
  ByteSet known_{};         // bytes of a plain code
  TokenTable tokens_{};
  std::unique_ptr<OwnedEncodeTable> table_;
};

/// Immutable after construction.
class TokenDecoder {
 public:
  /// Throws CorruptFrameError if the lengths of the book are not those of a code.
  TokenDecoder(CodeBook book, ExpectedWords bytes);

  /// Whether numbered blocks must be filled with zeros before decoding.
  bool wants_zeros() const { return !plain_ || code_.max_length() == 0; }

  /// Takes one sequence off the payload and fills `out`, which must not be empty.
  void decode(ByteReader& payload, const std::uint8_t* readable_end, const OutBlocks& out) const;

 private:
  void read_tokens(ByteReader& payload, const std::uint8_t* readable_end,
                   const OutBlocks& out) const;
  void fill(const OutBlocks& out) const;
  void read_short(ByteReader& payload, std::span<std::uint8_t> out) const;
  void read_streams(ByteReader& payload, const std::uint8_t* readable_end,
                    std::span<std::uint8_t> tokens) const;

  CodeBook book_;
  PrefixCode code_;
  bool plain_ = true;
  std::vector<std::uint8_t> bytes_;  // of the symbols if the code is plain, else their numbers
  ExpandTable expand_{};
  std::unique_ptr<ByteDecodeTable> table_;
};

}  // namespace gradwire
