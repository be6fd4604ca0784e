#pragma once

// Kernels for one code word per byte; see READ ME FIRST in kernels.hpp.

#include <stddef.h>
#include <stdint.h>

namespace gradwire {

inline constexpr unsigned kMaxCodeLength = 24;  // FORMAT.md, section 4
inline constexpr unsigned kLookupBits = 12;     // of a table that decodes
inline constexpr uint32_t kLongEntries = 1024;  // of the table for the longer ones
inline constexpr size_t kMaxStreams = 8;        // of a chunk (FORMAT.md, section 5.3)

/// Longest group of code words in one entry of ByteEncodeTable::group or ::pair.
inline constexpr unsigned kGroupBits = 26;
inline constexpr size_t kGroups = 4096;
inline constexpr size_t kPairs = 65536;
inline constexpr uint32_t kTooLong = 63;

/// Code words of up to 16 bits of those bytes that lie in at most kMostWordRows rows of 16: a word
/// is low | high << 8. The length is 0 where there is no such word: other bytes are rare.
inline constexpr size_t kMostWordRows = 8;
struct WordRows {
  uint8_t low[kMostWordRows][16];
  uint8_t high[kMostWordRows][16];
  uint8_t length[kMostWordRows][16];
  uint8_t row[kMostWordRows];  ///< which rows these are
  uint8_t rows;                ///< 2, 4 or 8
};

/// Code words of a byte alphabet of two symbols or more, first bit of a word in its lowest bit.
struct ByteEncodeTable {
  /// Code word << (64 - length) | length. Bytes without a code word have that of another one.
  uint64_t word[256];
  double mean_length;  ///< for symbols as frequent as their code words suggest
  /// Where the bytes in use differ in their lowest 3 bits, or null. By these bits of 4 symbols:
  /// their code words | length << kGroupBits; 0: too long.
  const uint32_t* group;
  /// By two bytes, the first one lowest: their code words | length << kGroupBits, and a length of
  /// kTooLong where they are too long. Or null.
  const uint32_t* pair;
  const WordRows* rows;  ///< where few rows have nearly all symbols, and words are short, or null
};

/// Decoder of a byte alphabet; complete code (Kraft sum 1), two symbols or more.
struct ByteDecodeTable {
  unsigned word_bits;  ///< up to kLookupBits; longer code words have no entry in the tables
  bool has_long_words;
  bool few_symbols;  ///< a look-up seldom yields more than three symbols: `three` is filled
  /// By the next kLookupBits bits; 0: long code word.
  union {
    uint64_t six[1u << kLookupBits];    ///< symbols << 16 | how many << 8 | bits used
    uint32_t three[1u << kLookupBits];  ///< how many << 30 | symbols << 6 | bits used
  };
  /// By the same: first symbol << 8 | its length. 0: long code word.
  uint16_t single[1u << kLookupBits];
  /// By (next 24 bits, the first one highest, - limit[word_bits]) >> long_shift: symbol << 8 |
  /// length of a long code word. Those past the end are found by their limits.
  uint16_t long_words[kLongEntries];
  unsigned long_shift;
  /// Code words of up to l bits, followed by zeros to 24 bits, lie below limit[l].
  uint32_t limit[kMaxCodeLength + 1];
  /// Place in `order` of a code word of l bits: offset[l] + the word, modulo 2^32.
  uint32_t offset[kMaxCodeLength + 1];
  uint8_t order[256];  ///< symbols in canonical order
};

/// One of the bit streams of a chunk: its bytes, and the place of its symbols.
struct DecodeStream {
  const uint8_t* in;
  const uint8_t* in_end;
  uint8_t* out;
  uint8_t* out_end;
};

struct CodeKernels {
  bool encodes_rows;  ///< encode_bytes makes use of WordRows

  /// Appends the code words of `size` bytes to [out, out_end), the last byte filled with zeros.
  /// Returns the number of bits, or SIZE_MAX if there is not room for 8 bytes more than the words
  /// need.
  size_t (*encode_bytes)(const ByteEncodeTable* table, const uint8_t* data, size_t size,
                         uint8_t* out, uint8_t* out_end);

  /// Fills the outputs of all streams. False if a stream is not used up exactly.
  /// Reads below `readable_end` only, which is no less than any in_end.
  bool (*decode_bytes)(const ByteDecodeTable* table, const DecodeStream* streams, size_t count,
                       const uint8_t* readable_end);
};

}  // namespace gradwire
