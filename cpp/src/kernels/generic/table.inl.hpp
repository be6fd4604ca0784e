#pragma once

// The kernels in plain C++. An instruction set has all of these unless it overrides some by name.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../kernels.hpp"
#include "bins.inl.hpp"
#include "block_classes.inl.hpp"
#include "byte_sets.inl.hpp"
#include "crc32c.inl.hpp"
#include "decode_bytes.inl.hpp"
#include "encode_bytes.inl.hpp"
#include "float_bytes.inl.hpp"
#include "float_lanes.inl.hpp"
#include "float_levels.inl.hpp"
#include "float_selection.inl.hpp"
#include "float_signs.inl.hpp"
#include "float_sums.inl.hpp"
#include "float_types.inl.hpp"
#include "histogram.inl.hpp"
#include "pivot.inl.hpp"
#include "runs.inl.hpp"
#include "tokens.inl.hpp"
#include "widths.inl.hpp"
#include "words.inl.hpp"

namespace gradwire {
namespace {

template <typename Steps, typename Level>
constexpr LevelKernels<Level> kLevelKernels = {
    .quantize = quantize_levels<Steps, Level>,
    .dequantize = dequantize_levels<Steps, Level>,
};

template <typename Steps>
constexpr FloatKernels kFloatKernels = {
    .from_float16 = generic_from_float16,
    .from_bfloat16 = generic_from_bfloat16,
    .from_float64 = generic_from_float64,
    .stats = add_stats<true>,
    .squares = add_stats<false>,
    .sign_sums = generic_sign_sums,
    .combine = combine<Steps>,
    .levels = kLevelKernels<Steps, int8_t>,
    .wide_levels = kLevelKernels<Steps, int16_t>,
    .signs = sign_bits<Steps>,
    .from_signs = generic_from_signs,
    .keep_bits = keep_bits<typename Steps::Bytes>,
    .spread_bits = spread_bits<typename Steps::Bytes>,
    .to_powers = round_to_powers<Steps>,
    .from_powers = from_powers<Steps>,
    .select = select_above<Steps>,
    .count_above = generic_count_above,
    .nonzero_bits = nonzero_bits<typename Steps::Bytes>,
    .keep_nonzeros = keep_nonzeros<typename Steps::Bytes>,
    .put_nonzeros = put_nonzeros<typename Steps::Bytes>,
    .count_ones = generic_count_ones,
    .split = split<typename Steps::Bytes>,
    .join = join<typename Steps::Bytes>,
};

constexpr Kernels kGenericKernels = {
    .name = "scalar",
    .bytes =
        {
            .histogram = generic_histogram,
            .find_outside = generic_find_outside,
            .map_bytes = generic_map_bytes,
            .crc32c = generic_crc32c,
            .run_starts = generic_run_starts,
            .narrow = generic_narrow,
            .widen = generic_widen,
            .range = generic_range,
        },
    .codes =
        {
            .encodes_rows = false,
            .encode_bytes = generic_encode_bytes,
            .decode_bytes = generic_decode_bytes,
        },
    .tokens =
        {
            .block_signs = generic_block_signs,
            .cheapest_classes = generic_cheapest_classes,
            .block_groups = generic_block_groups,
            .cheapest_by_groups = generic_cheapest_by_groups,
            .tokenize = tokenize<GenericTokenSteps>,
            .expand = generic_expand,
        },
    .bins =
        {
            .write = generic_write_bins,
            .read = generic_read_bins,
            .find_others = generic_find_others,
        },
    .pivot = kPivotKernels<GenericWords>,
    .floats = kFloatKernels<GenericFloatSteps>,
};

}  // namespace
}  // namespace gradwire
