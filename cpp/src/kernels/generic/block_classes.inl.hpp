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

// Writes the number of bytes in each group, given those of all groups from each one on.
void write_groups(const uint16_t at_least[kByteGroups], BlockGroups& counts) {
  for (size_t g = 0; g < kByteGroups; ++g) {
    const unsigned next = g + 1 < kByteGroups ? at_least[g + 1] : 0;
    counts.count[g] = static_cast<uint16_t>(at_least[g] - next);
  }
}

void generic_block_groups(const ByteGroups* groups, const uint8_t* data, size_t size,
                          BlockGroups* counts) {
  for (size_t i = 0; i < size; i += kBlockSize, ++counts) {
    const size_t end = size - i < kBlockSize ? size : i + kBlockSize;
    uint16_t at_least[kByteGroups] = {};
    for (size_t j = i; j < end; ++j) {
      for (size_t g = 0; g < kByteGroups; ++g) {
        at_least[g] =
            static_cast<uint16_t>(at_least[g] + (static_cast<int8_t>(data[j]) >= groups->first[g]));
      }
    }
    write_groups(at_least, *counts);
  }
}

void generic_cheapest_by_groups(const GroupCosts* costs, const BlockGroups* counts, size_t blocks,
                                uint8_t* classes) {
  constexpr int32_t kNoClass = 1 << 25;  // more than any block costs
  int32_t label[kMaxClasses];
  for (size_t k = 0; k < kMaxClasses; ++k) label[k] = k < costs->size ? costs->label[k] : kNoClass;
  for (size_t b = 0; b < blocks; ++b) {
    int32_t cost[kMaxClasses];
    for (size_t k = 0; k < kMaxClasses; ++k) cost[k] = label[k];
    for (size_t g = 0; g < kByteGroups; ++g) {
      const int32_t count = counts[b].count[g];
      for (size_t k = 0; k < kMaxClasses; ++k) cost[k] += count * costs->part[g][k];
    }
    int32_t best = INT32_MAX;
    for (size_t k = 0; k < kMaxClasses; ++k) {
      const int32_t ranked = cost[k] * static_cast<int32_t>(kMaxClasses) + static_cast<int32_t>(k);
      best = ranked < best ? ranked : best;
    }
    classes[b] = static_cast<uint8_t>(best & static_cast<int32_t>(kMaxClasses - 1));
  }
}

}  // namespace
}  // namespace gradwire
