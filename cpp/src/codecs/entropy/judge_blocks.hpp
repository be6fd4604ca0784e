#pragma once

#include "codecs/entropy/fit_blocks.hpp"
#include "codecs/entropy/form.hpp"
#include "codecs/entropy/sample.hpp"

namespace gradwire {

inline constexpr double kNear = 1.01;     // bits for each bit of information, nearly optimal
inline constexpr double kMuchLess = 0.9;  // bits for each bit of blocks that are near: see are_near
inline constexpr double kSaving = 0.97;   // bits for each bit that must be expected to try runs
inline constexpr double kMostZeros = 0.8;  // share from which neither bins nor differences pay

/// Bits that the sample pays for a form that has no parts yet: its share of the code book, and of
/// the sizes in a chunk.
double book_bits(const Form& form, Sampled sampled);

/// Whether code books are so large a part that bins, which need fewer code words, may pay.
bool has_large_books(double bits, double of_books);

/// Whether blocks take hardly more bits than bytes in no order would, so that only a form that
/// takes much fewer is worth its time. (Blocks that differ from one another take fewer, too.)
bool are_near(const ByteSample& sample, Sampled sampled, const FittedBlocks& blocks);

/// Whether another form may be worth its time nevertheless, judged by a sample of bytes as
/// fit_block_model leaves it.
bool may_pay(const ByteSample& sample, const FittedBlocks& blocks);

}  // namespace gradwire
