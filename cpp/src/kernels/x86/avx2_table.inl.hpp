#pragma once

// The kernels that AVX2, BMI2 or the CRC-32C instruction make faster than plain C++.

#include "../generic/table.inl.hpp"
#include "../kernels.hpp"
#include "avx2_block_classes.inl.hpp"
#include "avx2_byte_sets.inl.hpp"
#include "avx2_crc32c.inl.hpp"
#include "avx2_encode_bytes.inl.hpp"
#include "avx2_floats.inl.hpp"
#include "avx2_histogram.inl.hpp"
#include "avx2_others.inl.hpp"
#include "avx2_runs.inl.hpp"
#include "avx2_tokens.inl.hpp"
#include "avx2_words.inl.hpp"

namespace gradwire {
namespace {

constexpr Kernels make_avx2_kernels() {
  Kernels kernels = kGenericKernels;
  kernels.name = "avx2";
  kernels.bytes.histogram = avx2_histogram;
  kernels.bytes.find_outside = avx2_find_outside;
  kernels.bytes.map_bytes = avx2_map_bytes;
  kernels.bytes.crc32c = avx2_crc32c;
  kernels.bytes.run_starts = avx2_run_starts;
  kernels.codes.encodes_rows = true;
  kernels.codes.encode_bytes = avx2_encode_bytes;
  kernels.tokens.block_signs = avx2_block_signs;
  kernels.tokens.cheapest_classes = avx2_cheapest_classes;
  kernels.tokens.block_groups = avx2_block_groups;
  kernels.tokens.cheapest_by_groups = avx2_cheapest_by_groups;
  kernels.tokens.tokenize = tokenize<Avx2TokenSteps>;
  kernels.bins.find_others = avx2_find_others;
  kernels.pivot = kPivotKernels<Avx2Words>;
  kernels.floats = kFloatKernels<Avx2FloatSteps>;
  return kernels;
}

}  // namespace
}  // namespace gradwire
