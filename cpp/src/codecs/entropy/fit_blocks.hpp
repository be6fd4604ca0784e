#pragma once

#include "codecs/entropy/block_model.hpp"
#include "codecs/entropy/sample.hpp"

namespace gradwire {

struct FittedBlocks {
  BlockModel model;
  double bits;     ///< that the sample takes
  double entropy;  ///< bits of the sample's bytes, class by class, if each took its information
};

/// Fits a model to elements whose lowest bytes are `sample`, and whose keys lie in
/// [smallest, smallest + values - 1]. Turns the sample into the bytes that are coded.
FittedBlocks fit_block_model(ByteSample sample, std::uint64_t smallest, DType dtype,
                             Sampled sampled, std::size_t values = 256);

/// Bits of the information in a histogram.
double information(std::span<const std::uint64_t> counts);

}  // namespace gradwire
