#pragma once

// Counts the signs of blocks, and finds the class in which each block costs least.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../token_kernels.hpp"

namespace gradwire {
namespace {

void count_signs(const uint8_t* data, size_t size, BlockSigns& signs) {
  for (size_t i = 0; i < size; ++i) {
    signs.negative = static_cast<uint16_t>(signs.negative + (data[i] >> 7));
    signs.positive = static_cast<uint16_t>(signs.positive + (data[i] - 1u < 127u));
  }
}

void generic_cheapest_classes(const ClassCosts* costs, const BlockSigns* signs, size_t blocks,
                              uint8_t* classes) {
  for (size_t b = 0; b < blocks; ++b) {
    const int32_t negative = signs[b].negative;
    const int32_t positive = signs[b].positive;
    const int32_t zero = static_cast<int32_t>(kBlockSize) - negative - positive;
    int32_t best = INT32_MAX;
    for (size_t k = 0; k < costs->size; ++k) {
      const int32_t cost = costs->label[k] + negative * costs->negative[k] + zero * costs->zero[k] +
                           positive * costs->positive[k];
      const int32_t ranked = cost * static_cast<int32_t>(kMaxClasses) + static_cast<int32_t>(k);
      best = ranked < best ? ranked : best;
    }
    classes[b] = static_cast<uint8_t>(best & static_cast<int32_t>(kMaxClasses - 1));
  }
}

void generic_block_signs(const uint8_t* data, size_t size, BlockSigns* signs) {
  for (size_t i = 0; i < size; i += kBlockSize, ++signs) {
    *signs = {};
    count_signs(data + i, size - i < kBlockSize ? size - i : kBlockSize, *signs);
  }
}

}  // namespace
}  // namespace gradwire
