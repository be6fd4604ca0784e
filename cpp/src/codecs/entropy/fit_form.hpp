#pragma once

#include <limits>
#include <optional>

#include "codecs/entropy/fit_blocks.hpp"
#include "codecs/entropy/form.hpp"
#include "codecs/entropy/sample.hpp"

namespace gradwire {

/// A model for elements whose keys lie in [smallest, smallest + 255].
struct PlainBytes {
  BlockModel model;
  /// For each element that differs from the most frequent one: samples may hold more or fewer.
  double bits;
  bool are_near;
};

struct FittedForm {
  Form form;
  double bits;  ///< for each element, with a share of the code book
  /// For each element, the entropy of the values if they are few; otherwise infinite.
  double entropy = std::numeric_limits<double>::infinity();
};

/// Finds the form that takes the fewest bytes for sequences like `sample`, which must not be empty.
/// `plain`: how they are coded as bytes, if they can be.
FittedForm fit_form(const Elements& sample, Sampled sampled, std::optional<PlainBytes> plain);

/// Whether blocks take hardly more bits than bytes in no order would, so that only a form that
/// takes much fewer is worth its time. (Blocks that differ from one another take fewer, too.)
bool are_near(const ByteSample& sample, Sampled sampled, const FittedBlocks& blocks);

/// Whether another form may be worth its time nevertheless, judged by a sample of bytes as
/// fit_block_model leaves it.
bool may_pay(const ByteSample& sample, const FittedBlocks& blocks);

}  // namespace gradwire
