#pragma once

// Kernels for one code word per byte; see READ ME FIRST in kernels.hpp.

#include <stddef.h>
#include <stdint.h>

namespace gradwire {

inline constexpr unsigned kMaxCodeLength = 24;  // bits of a code word (FORMAT.md, section 4)
inline constexpr unsigned kLookupBits = 12;     // bits that index a decoding table
inline constexpr uint32_t kLongEntries = 1024;  // entries of the table for longer code words
inline constexpr size_t kMaxStreams = 8;        // streams of a chunk (FORMAT.md, section 5.3)

/// Most bits that the code words in one entry of ByteEncodeTable::pair have together.
inline constexpr unsigned kPairBits = 26;
inline constexpr size_t kPairs = 65536;
inline constexpr uint32_t kTooLong = 63;  ///< length in an entry of ::pair that exceeds kPairBits

/// Code words of up to 16 bits, for bytes that lie in at most kMostWordRows rows of 16. A word is
/// low | high << 8. A length of 0 means that the byte has no word here; such bytes are rare.
inline constexpr size_t kMostWordRows = 8;
struct WordRows {
  uint8_t low[kMostWordRows][16];
  uint8_t high[kMostWordRows][16];
  uint8_t length[kMostWordRows][16];
  uint8_t row[kMostWordRows];  ///< numbers of these rows: byte / 16
  uint8_t rows;                ///< number of rows: 2, 4 or 8
};

/// Code words of a byte alphabet of two or more symbols. The first bit of a word is its lowest bit.
struct ByteEncodeTable {
  /// Code word << (64 - length) | length. A byte without a code word has the entry of another byte.
  uint64_t word[256];
  double mean_length;  ///< bits of a code word, if symbols are as frequent as their words suggest
  /// Null, or indexed by two bytes, the first one lowest: their code words | total length <<
  /// kPairBits. The length is kTooLong if they are too long. (1.2 to 1.35 times as fast on
  /// gauss20.)
  const uint32_t* pair;
  /// Null unless few rows hold nearly all symbols and words are short. (1.2 times as fast on
  /// qsgd127.)
  const WordRows* rows;
};

/// Decodes a byte alphabet of two or more symbols with a complete code (Kraft sum 1).
struct ByteDecodeTable {
  unsigned word_bits;   ///< at most kLookupBits; longer words are *long*: the tables lack them
  bool has_long_words;  ///< whether any code word is longer than word_bits
  /// Fill `three`, not `six`: a look-up rarely finds more than 3 symbols. (1.2 times as fast on
  /// gauss20.)
  bool few_symbols;
  /// Indexed by the next kLookupBits bits; 0 means that they begin with a long code word.
  union {
    uint64_t six[1u << kLookupBits];    ///< symbols << 16 | number of symbols << 8 | bits used
    uint32_t three[1u << kLookupBits];  ///< number of symbols << 30 | symbols << 6 | bits used
  };
  /// Indexed alike: first symbol << 8 | length of its code word; 0 means a long code word.
  uint16_t single[1u << kLookupBits];
  /// Indexed by (the next 24 bits, the first one highest, - limit[word_bits]) >> long_shift:
  /// symbol << 8 | length of a long code word. `limit` finds the words past the end of this table.
  uint16_t long_words[kLongEntries];
  unsigned long_shift;
  /// Code words of up to l bits, padded with zeros to 24 bits, lie below limit[l].
  uint32_t limit[kMaxCodeLength + 1];
  /// A code word w of l bits stands for order[offset[l] + w], with the sum modulo 2^32.
  uint32_t offset[kMaxCodeLength + 1];
  uint8_t order[256];  ///< symbols in canonical order
};

/// One of the bit streams of a chunk: its bytes, and where its symbols go.
struct DecodeStream {
  const uint8_t* in;
  const uint8_t* in_end;
  uint8_t* out;
  uint8_t* out_end;
};

struct CodeKernels {
  bool encodes_rows;  ///< whether encode_bytes uses WordRows

  /// Writes the code words of `size` bytes to [out, out_end) and pads the last byte with zeros.
  /// Returns the number of bits, or SIZE_MAX if there is no room for 8 bytes more than the words
  /// take.
  size_t (*encode_bytes)(const ByteEncodeTable* table, const uint8_t* data, size_t size,
                         uint8_t* out, uint8_t* out_end);

  /// Fills the outputs of all streams. Returns false if a stream is not used up exactly.
  /// May read past in_end, but only below `readable_end`, which no in_end exceeds.
  bool (*decode_bytes)(const ByteDecodeTable* table, const DecodeStream* streams, size_t count,
                       const uint8_t* readable_end);
};

}  // namespace gradwire
