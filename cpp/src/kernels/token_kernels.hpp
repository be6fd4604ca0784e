#pragma once

// Kernels for blocks, their classes, and tokens; see READ ME FIRST in kernels.hpp.

#include <stddef.h>
#include <stdint.h>

#include "byte_kernels.hpp"

namespace gradwire {

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

struct TokenKernels {
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
};

}  // namespace gradwire
