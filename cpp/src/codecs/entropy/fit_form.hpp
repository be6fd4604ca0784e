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

}  // namespace gradwire
