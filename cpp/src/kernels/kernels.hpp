#pragma once

// READ ME FIRST
// 1. A kernel file includes this header, <stdint.h>, <stddef.h>, <string.h>, intrinsics and *.inc
//    files, nothing else, and keeps everything in an anonymous namespace. A template or inline
//    function shared with a file that is built for another instruction set could be linked in the
//    wrong version.
// 2. scalar.cpp is the reference: every kernel gives the same bytes and the same answers.
// 3. Kernels trust their tables and spans, but never the bits that they decode.

#include <stddef.h>
#include <stdint.h>

#include "float_kernels.hpp"

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

/// Elements of a block (FORMAT.md, section 5.5).
inline constexpr size_t kBlockSize = 256;
inline constexpr size_t kMaxClasses = 16;

/// A sequence of blocks, of which the last may be shorter.
struct Blocks {
  const uint8_t* data;
  const uint32_t* numbers;  ///< of those blocks of `data` that follow each other; null: all
  size_t size;              ///< of the sequence, in bytes
};

/// The same, to be written.
struct OutBlocks {
  uint8_t* data;
  const uint32_t* numbers;
  size_t size;
};

/// How many bytes of a block are below and above zero, taken as int8.
struct BlockSigns {
  uint16_t negative;
  uint16_t positive;
};

/// What a block of each class costs, in some fraction of a bit: at most kMostCost, but for the
/// labels of unused classes.
inline constexpr int32_t kMostCost = 4096;
struct ClassCosts {
  size_t size = 1;  ///< so many classes, 1 to kMaxClasses
  int32_t label[kMaxClasses];
  int32_t negative[kMaxClasses];
  int32_t zero[kMaxClasses];
  int32_t positive[kMaxClasses];
};

/// A set of bytes: byte b is in it if bit b / 16 % 8 of rows[b / 128][b % 16] is 1.
struct ByteSet {
  uint8_t rows[2][16];
};

/// A map of bytes, of which those in rows of 16 other than `row` are not used.
struct ByteMap {
  uint8_t to[256];
  uint8_t rows;     ///< how many of `row` are in use
  uint8_t row[16];  ///< the others repeat one of these
};

/// Tokens (FORMAT.md, section 5.5): a byte other than 0 with the zeros before it, or zeros alone.
inline constexpr size_t kMaxTokenRun = 256;
struct TokenTable {
  /// Token of a byte after no zeros; those after 1 to max_zeros - 1 zeros follow. kNoToken: none.
  uint16_t first[256];
  uint32_t max_zeros;
  uint8_t zeros;   ///< token of max_zeros zeros alone
  ByteSet known;   ///< bytes that have tokens
  ByteMap firsts;  ///< of them: `first`, as a byte
};
inline constexpr size_t kSpareTokens = 32;  ///< that may be written past the last one
inline constexpr uint16_t kNoToken = 0x8000;

struct TokenCounts {
  size_t tokens;
  size_t unknown;
};

/// By token: its byte | zeros before that << 8 | elements in all << 16.
struct ExpandTable {
  uint32_t entry[256];
};

/// Elements of a block in the pivot layout (FORMAT.md, section 5.3): a list of bytes, of which a
/// pass treats some. Masks have a bit per byte, 64 to a word. `bytes` has room for a multiple
/// of 64.
struct PivotList {
  uint8_t* bytes;
  size_t size;
  const uint64_t* members;  ///< the bytes to be treated; null: all
  uint64_t* below;          ///< written: members whose bit is 0
  uint64_t* above;          ///< written: members whose bit is 1
};

/// Bits wait in `bits`, fewer than 64. A pass needs room for 16 bytes more than it writes bits.
struct PivotWriter {
  uint64_t bits;
  unsigned count;
  uint8_t* out;
};

/// Bits past `readable_end` are 0.
struct PivotReader {
  const uint8_t* in;
  uint64_t position;  ///< in bits
  const uint8_t* readable_end;
};

/// What a list of bytes is made of: to each byte belong the deltas of the masks that have a 1
/// there.
inline constexpr unsigned kMaxLayers = 8;
struct PivotLayers {
  unsigned count;
  const uint64_t* mask[kMaxLayers];
  uint8_t delta[kMaxLayers];
  bool add;       ///< to the bytes that are there
  uint8_t value;  ///< of the bytes before, otherwise
};

struct PivotKernels {
  /// What moving members to a list of their own costs, in eighths of a pass over the list.
  unsigned move_cost;

  /// Writes a bit for each member: whether its rank is at least `pivot`. Returns the ones.
  size_t (*split)(const PivotList* list, uint8_t pivot, PivotWriter* writer);

  /// Writes bit `bit` of each member's rank - `first`. Masks mean nothing afterwards.
  void (*plane)(const PivotList* list, uint8_t first, unsigned bit, PivotWriter* writer);

  /// Reads a bit for each member. Returns the ones.
  size_t (*place)(const PivotList* list, PivotReader* reader);

  /// The same, but writes only `above`.
  void (*place_plane)(const PivotList* list, PivotReader* reader);

  /// Makes `size` bytes; may write what is left of the last 64.
  void (*compose)(const PivotLayers* layers, uint8_t* bytes, size_t size);

  /// Writes the members close together to `out`; may write 64 bytes after them.
  void (*gather)(const PivotList* list, uint8_t* out);

  /// Adds the bytes at `from` to the members, in order; may read 64 bytes more.
  void (*scatter_add)(const uint8_t* from, const PivotList* list);
};

struct Kernels {
  const char* name;
  bool encodes_rows;  ///< encode_bytes makes use of WordRows

  /// Adds the number of times each byte occurs to `counts`.
  void (*histogram)(const uint8_t* data, size_t size, uint64_t counts[256]);

  /// Index of the first byte that is not in the set; `size` if all are.
  size_t (*find_outside)(const ByteSet* set, const uint8_t* data, size_t size);

  /// CRC-32C of `data`, continued from `crc` (0 at the start).
  uint32_t (*crc32c)(uint32_t crc, const uint8_t* data, size_t size);

  /// Writes the first index of each run of equal elements (width 1, 2, 4 or 8 bytes) to `starts`
  /// and returns how many runs there are. `starts` has room for count + 8 entries; count < 2^16.
  size_t (*run_starts)(const uint8_t* data, size_t count, size_t width, uint16_t* starts);

  /// Appends the code words of `size` bytes to [out, out_end), the last byte filled with zeros.
  /// Returns the number of bits, or SIZE_MAX if there is not room for 8 bytes more than the words
  /// need.
  size_t (*encode_bytes)(const ByteEncodeTable* table, const uint8_t* data, size_t size,
                         uint8_t* out, uint8_t* out_end);

  /// Fills the outputs of all streams. False if a stream is not used up exactly.
  /// Reads below `readable_end` only, which is no less than any in_end.
  bool (*decode_bytes)(const ByteDecodeTable* table, const DecodeStream* streams, size_t count,
                       const uint8_t* readable_end);

  /// Counts the signs in each block; the last one may be shorter.
  void (*block_signs)(const uint8_t* data, size_t size, BlockSigns* signs);

  /// The cheapest class of each block of kBlockSize bytes, the lower one of two equals; below the
  /// number of classes whatever the signs are.
  void (*cheapest_classes)(const ClassCosts* costs, const BlockSigns* signs, size_t blocks,
                           uint8_t* classes);

  /// Turns bytes into tokens; the last may stand for more zeros than there are. Bytes that have no
  /// token pass for zeros, and their places in the sequence are written to `unknown`. There is room
  /// for as many entries as bytes in both, and for kSpareTokens more in `tokens`.
  TokenCounts (*tokenize)(const TokenTable* table, const Blocks* blocks, uint8_t* tokens,
                          uint32_t* unknown);

  /// Turns tokens, which must have entries, into exactly the bytes of `out`; false if they are
  /// others. Blocks that are numbered must be zeros before.
  bool (*expand)(const ExpandTable* table, const uint8_t* tokens, size_t count,
                 const OutBlocks* out);

  /// The lowest byte of each element (width 1, 2, 4 or 8 bytes) - `zero`. `out` may be `elements`
  /// if these are bytes.
  void (*narrow)(const uint8_t* elements, size_t count, size_t width, uint8_t zero, uint8_t* out);

  /// Elements of `base` + (byte - `zero`, modulo 256). `out` may be `bytes` if the width is 1.
  void (*widen)(const uint8_t* bytes, size_t count, uint8_t zero, uint64_t base, size_t width,
                uint8_t* out);

  /// Extends a range, of the smallest and the largest, to all elements' bits exclusive-or `flip`.
  void (*range)(const uint8_t* elements, size_t count, size_t width, uint64_t flip,
                uint64_t range[2]);

  /// Replaces each byte; `in` and `out` are the same or apart.
  void (*map_bytes)(const ByteMap* map, const uint8_t* in, size_t size, uint8_t* out);

  PivotKernels pivot;
  FloatKernels floats;
};

extern const Kernels kScalarKernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;

/// The kernels of the fastest instruction set that runs here, or the one that GRADWIRE_ISA forces.
const Kernels& kernels();

}  // namespace gradwire
