#pragma once

// Kernels for blocks, their classes, and tokens; see READ ME FIRST in kernels.hpp.

#include <stddef.h>
#include <stdint.h>

#include "byte_kernels.hpp"

namespace gradwire {

/// Number of elements of a block (FORMAT.md, section 5.5).
inline constexpr size_t kBlockSize = 256;
inline constexpr size_t kMaxClasses = 16;

/// A sequence of blocks; the last one may be shorter.
struct Blocks {
  const uint8_t* data;
  const uint32_t* numbers;  ///< which blocks of `data` form the sequence; null: all, in order
  size_t size;              ///< of the sequence, in bytes
};

/// A sequence of blocks to be written.
struct OutBlocks {
  uint8_t* data;
  const uint32_t* numbers;
  size_t size;
};

/// The number of bytes of a block that are below and above zero, taken as int8.
struct BlockSigns {
  uint16_t negative;
  uint16_t positive;
};

/// What the label and each byte of a block cost in each class, in a fixed fraction of a bit. No
/// cost is above kMostCost, except for the labels of unused classes.
inline constexpr int32_t kMostCost = 4096;
struct ClassCosts {
  size_t size = 1;  ///< number of classes, 1 to kMaxClasses
  int32_t label[kMaxClasses];
  int32_t negative[kMaxClasses];
  int32_t zero[kMaxClasses];
  int32_t positive[kMaxClasses];
};

/// Bytes in groups, a finer view of a block than its signs. Group g has the bytes, taken as int8,
/// from first[g] up to the next group, which may be none. first[0] is -128; the others ascend.
inline constexpr size_t kByteGroups = 8;
struct ByteGroups {
  int8_t first[kByteGroups];
};
/// The number of bytes of a block in each group.
struct BlockGroups {
  uint16_t count[kByteGroups];
};
/// As ClassCosts; what a byte of each group costs in each class.
struct GroupCosts {
  size_t size = 1;
  int32_t label[kMaxClasses];
  int32_t part[kByteGroups][kMaxClasses];
};

/// A token (FORMAT.md, section 5.5) stands for a nonzero byte and the zeros before it, or for zeros
/// alone; for at most kMaxTokenRun elements.
inline constexpr size_t kMaxTokenRun = 256;
struct TokenTable {
  /// For each byte, its token without zeros before it; the tokens for 1 to max_zeros - 1 zeros
  /// before it are the numbers that follow. kNoToken: the byte has no tokens.
  uint16_t first[256];
  uint32_t max_zeros;
  uint8_t zeros;   ///< token of max_zeros zeros alone
  ByteSet known;   ///< bytes that have tokens
  ByteMap firsts;  ///< maps these bytes to `first`
};
inline constexpr size_t kSpareTokens = 32;  ///< tokens that may be written past the last one
inline constexpr uint16_t kNoToken = 0x8000;

struct TokenCounts {
  size_t tokens;
  size_t unknown;
};

/// Indexed by token: its byte | number of zeros before it << 8 | total number of elements << 16.
struct ExpandTable {
  uint32_t entry[256];
};

struct TokenKernels {
  /// Counts the signs in each block of kBlockSize bytes; the last one may be shorter.
  void (*block_signs)(const uint8_t* data, size_t size, BlockSigns* signs);

  /// Finds the cheapest class of each block of kBlockSize bytes; the lower class wins a tie.
  /// Whatever the signs are, the result is below the number of classes.
  void (*cheapest_classes)(const ClassCosts* costs, const BlockSigns* signs, size_t blocks,
                           uint8_t* classes);

  /// Counts the bytes of each group in each block of kBlockSize bytes; the last one may be shorter.
  void (*block_groups)(const ByteGroups* groups, const uint8_t* data, size_t size,
                       BlockGroups* counts);

  /// As cheapest_classes.
  void (*cheapest_by_groups)(const GroupCosts* costs, const BlockGroups* counts, size_t blocks,
                             uint8_t* classes);

  /// Turns bytes into tokens; the last token may stand for more zeros than there are. Bytes without
  /// a token count as zeros, and their places in the sequence are written to `unknown`. Both
  /// outputs have room for an entry per byte, and `tokens` for kSpareTokens more.
  TokenCounts (*tokenize)(const TokenTable* table, const Blocks* blocks, uint8_t* tokens,
                          uint32_t* unknown);

  /// Turns tokens, each of which must have an entry, into bytes. Returns false if they do not fill
  /// `out` exactly. If `out` has `numbers`, its blocks must be all zeros beforehand.
  bool (*expand)(const ExpandTable* table, const uint8_t* tokens, size_t count,
                 const OutBlocks* out);
};

}  // namespace gradwire
