#pragma once

// The passes of the pivot layout (FORMAT.md, section 5.3).
//
// Why is this fast? A pass treats 64 elements at once, with a bit for each in a register: whether
// it belongs to the node (`members`), and to which child it goes (`children`). The bits that the
// node adds to the code words are pext(children, members), and pdep restores `children`. A pass
// moves no elements and has no branch that depends on the data.
//
// What an instruction set does with 64 bytes and a mask with a bit for each byte:
//
//   struct Words {
//     // Whether each byte is at least `least`; and bit `bit` of each byte - `first`.
//     static uint64_t at_least(const uint8_t* bytes, uint8_t least);
//     static uint64_t bit(const uint8_t* bytes, uint8_t first, unsigned bit);
//
//     // Packs the bits of `bits` at which `mask` is 1 into the lowest places; and the inverse.
//     static uint64_t extract(uint64_t bits, uint64_t mask);
//     static uint64_t deposit(uint64_t bits, uint64_t mask);
//
//     // kStep bytes in one register. `where` gives `delta` for each 1 of the mask at `p`, else 0.
//     using Vector = ...;
//     static constexpr size_t kStep = ...;
//     static Vector all(uint8_t byte);
//     static Vector load(const uint8_t* p);
//     static void store(uint8_t* p, Vector v);
//     static Vector add(Vector a, Vector b);
//     static Vector where(const uint8_t* p, Vector delta);
//
//     // `gather` packs the bytes that `mask` chooses together; `scatter_add` adds the bytes at
//     // `list` to them. kMoveCost is the cost of either for a list, in eighths of a pass over it.
//     static constexpr unsigned kMoveCost = ...;
//     static void gather(const uint8_t* bytes, uint64_t mask, uint8_t* out);
//     static void scatter_add(const uint8_t* list, uint64_t mask, uint8_t* bytes);
//   };

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../pivot_kernels.hpp"
#include "bits.inl.hpp"
#include "memory.inl.hpp"

namespace gradwire {
namespace {

// A pass over a node whose children are leaves need not write `below` nor count the ones.
enum class Children { kLeaves, kNodes };

// Passes work on local copies of their arguments: as far as the compiler knows, a store to a mask
// might change any other object.

template <Children Below>
struct MaskWriter {
  uint64_t* below;
  uint64_t* above;
  size_t total;

  void put(size_t word, uint64_t members, uint64_t ones) {
    above[word] = ones;
    if (Below == Children::kLeaves) return;
    below[word] = members & ~ones;
    total += count_ones(ones);
  }
};

template <typename Words, Children Below, typename Test>
size_t write_pass(PivotList list, const Test& test, PivotWriter* shared) {
  PivotWriter writer = *shared;
  MaskWriter<Below> masks{list.below, list.above, 0};
  const size_t words = list.size / 64;
  if (list.members == nullptr) {
    for (size_t i = 0; i < words; ++i) {
      const uint64_t ones = test(list.bytes + 64 * i);
      masks.put(i, ~uint64_t{0}, ones);
      put_word(writer, ones);
    }
    if (list.size % 64 != 0) {
      const uint64_t members = first_ones(list.size % 64);
      const uint64_t ones = test(list.bytes + 64 * words) & members;
      masks.put(words, members, ones);
      put(writer, ones, list.size % 64);
    }
  } else {
    for (size_t i = 0; 64 * i < list.size; ++i) {
      const uint64_t members = list.members[i];
      const uint64_t ones = test(list.bytes + 64 * i);
      masks.put(i, members, ones & members);
      put(writer, Words::extract(ones, members), count_ones(members));
    }
  }
  *shared = writer;
  return masks.total;
}

template <typename Words>
size_t split(const PivotList* list, uint8_t pivot, PivotWriter* writer) {
  const auto test = [=](const uint8_t* ranks) { return Words::at_least(ranks, pivot); };
  return write_pass<Words, Children::kNodes>(*list, test, writer);
}

template <typename Words>
void plane(const PivotList* list, uint8_t first, unsigned bit, PivotWriter* writer) {
  const auto test = [=](const uint8_t* ranks) { return Words::bit(ranks, first, bit); };
  write_pass<Words, Children::kLeaves>(*list, test, writer);
}

template <typename Words, Children Below>
size_t read_pass(PivotList list, PivotReader* shared) {
  PivotReader reader = *shared;
  MaskWriter<Below> masks{list.below, list.above, 0};
  const size_t words = list.size / 64;
  if (list.members == nullptr) {
    for (size_t i = 0; i < words; ++i) masks.put(i, ~uint64_t{0}, take(reader, 64));
    if (list.size % 64 != 0) {
      const uint64_t members = first_ones(list.size % 64);
      masks.put(words, members, take(reader, list.size % 64) & members);
    }
  } else {
    for (size_t i = 0; 64 * i < list.size; ++i) {
      const uint64_t members = list.members[i];
      masks.put(i, members, Words::deposit(take(reader, count_ones(members)), members));
    }
  }
  *shared = reader;
  return masks.total;
}

template <typename Words>
size_t place(const PivotList* list, PivotReader* reader) {
  return read_pass<Words, Children::kNodes>(*list, reader);
}

template <typename Words>
void place_plane(const PivotList* list, PivotReader* reader) {
  read_pass<Words, Children::kLeaves>(*list, reader);
}

template <typename Words, unsigned Count>
void add_layers(const PivotLayers& layers, uint8_t* bytes, size_t size) {
  typename Words::Vector delta[Count + 1];
  const uint8_t* mask[Count + 1];
  for (unsigned k = 0; k < Count; ++k) {
    delta[k] = Words::all(layers.delta[k]);
    mask[k] = reinterpret_cast<const uint8_t*>(layers.mask[k]);
  }
  const typename Words::Vector value = Words::all(layers.value);
  const bool add = layers.add;
  for (size_t i = 0; i < size; i += Words::kStep) {
    auto sum = add ? Words::load(bytes + i) : value;
    for (unsigned k = 0; k < Count; ++k) {
      sum = Words::add(sum, Words::where(mask[k] + i / 8, delta[k]));
    }
    Words::store(bytes + i, sum);
  }
}

template <typename Words>
void compose(const PivotLayers* layers, uint8_t* bytes, size_t size) {
  switch (layers->count) {
    case 0: return add_layers<Words, 0>(*layers, bytes, size);
    case 1: return add_layers<Words, 1>(*layers, bytes, size);
    case 2: return add_layers<Words, 2>(*layers, bytes, size);
    case 3: return add_layers<Words, 3>(*layers, bytes, size);
    case 4: return add_layers<Words, 4>(*layers, bytes, size);
    case 5: return add_layers<Words, 5>(*layers, bytes, size);
    case 6: return add_layers<Words, 6>(*layers, bytes, size);
    case 7: return add_layers<Words, 7>(*layers, bytes, size);
    default: return add_layers<Words, 8>(*layers, bytes, size);
  }
}

template <typename Words>
void gather(const PivotList* shared, uint8_t* out) {
  const PivotList list = *shared;
  for (size_t i = 0; i < list.size; i += 64) {
    const uint64_t mask = list.members[i / 64];
    if (mask == 0) continue;
    Words::gather(list.bytes + i, mask, out);
    out += count_ones(mask);
  }
}

template <typename Words>
void scatter_add(const uint8_t* from, const PivotList* shared) {
  const PivotList list = *shared;
  for (size_t i = 0; i < list.size; i += 64) {
    const uint64_t mask = list.members[i / 64];
    if (mask == 0) continue;
    Words::scatter_add(from, mask, list.bytes + i);
    from += count_ones(mask);
  }
}

template <typename Words>
constexpr PivotKernels kPivotKernels = {
    .move_cost = Words::kMoveCost,
    .split = split<Words>,
    .plane = plane<Words>,
    .place = place<Words>,
    .place_plane = place_plane<Words>,
    .compose = compose<Words>,
    .gather = gather<Words>,
    .scatter_add = scatter_add<Words>,
};

}  // namespace
}  // namespace gradwire
