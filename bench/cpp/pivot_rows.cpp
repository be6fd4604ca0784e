// Kernels of the pivot layout, on a block: all its members, or some of them.

#include <benchmark/benchmark.h>

#include <memory>
#include <random>

#include "kernel_rows.hpp"
#include "prefix/pivot_code.hpp"

namespace {

using namespace gradwire;

using Masks = std::vector<std::uint64_t>;

Masks random_masks(double share, unsigned seed) {
  std::mt19937 random(seed);
  std::bernoulli_distribution is_one(share);
  Masks masks(kPivotBlock / 64);
  for (auto& mask : masks) {
    for (unsigned i = 0; i < 64; ++i) mask |= std::uint64_t{is_one(random)} << i;
  }
  return masks;
}

/// Random ranks in a block, of which `share` are members, bits for them, and moved members.
struct Block {
  explicit Block(double share) : members(random_masks(share, 1)) {
    std::mt19937 random(2);
    for (auto& byte : ranks) byte = static_cast<std::uint8_t>(random());
    for (auto& byte : bits) byte = static_cast<std::uint8_t>(random());
    list = {ranks.data(), kPivotBlock, share < 1 ? members.data() : nullptr, below.data(),
            above.data()};
    layers.count = 3;
    for (unsigned i = 0; i < layers.count; ++i) {
      masks[i] = random_masks(0.5, 3 + i);
      layers.mask[i] = masks[i].data();
      layers.delta[i] = static_cast<std::uint8_t>(1 + i);
    }
  }

  PivotWriter writer() { return {0, 0, bits.data()}; }
  PivotReader reader() const { return {bits.data(), 0, bits.data() + bits.size()}; }

  Bytes ranks = Bytes(kPivotBlock + 64);
  Bytes moved = Bytes(kPivotBlock + 128);
  Bytes bits = Bytes(kPivotBlock / 8 + 16);
  Masks members;
  Masks below = Masks(kPivotBlock / 64);
  Masks above = Masks(kPivotBlock / 64);
  Masks masks[kMaxLayers];
  PivotList list;
  PivotLayers layers{};
};

template <typename Call>
void add(const char* kernel, double share, Call call) {
  const std::string data = share < 1 ? std::to_string(static_cast<int>(100 * share)) + "%" : "all";
  add_rows(kernel, data, [=] {
    const auto block = std::make_shared<Block>(share);
    return Work{kPivotBlock, [=](const Kernels& kernels) { call(kernels.pivot, *block); }};
  });
}

}  // namespace

void add_pivot_rows() {
  for (const double share : {1.0, 0.5, 0.05}) {
    add("pivot.split", share, [](const PivotKernels& k, Block& b) {
      PivotWriter writer = b.writer();
      benchmark::DoNotOptimize(k.split(&b.list, 200, &writer));
    });
    add("pivot.plane", share, [](const PivotKernels& k, Block& b) {
      PivotWriter writer = b.writer();
      k.plane(&b.list, 8, 2, &writer);
    });
    add("pivot.place", share, [](const PivotKernels& k, Block& b) {
      PivotReader reader = b.reader();
      benchmark::DoNotOptimize(k.place(&b.list, &reader));
    });
    add("pivot.place_plane", share, [](const PivotKernels& k, Block& b) {
      PivotReader reader = b.reader();
      k.place_plane(&b.list, &reader);
    });
    if (share == 1) continue;  // then no members are moved
    add("pivot.gather", share,
        [](const PivotKernels& k, Block& b) { k.gather(&b.list, b.moved.data()); });
    add("pivot.scatter_add", share,
        [](const PivotKernels& k, Block& b) { k.scatter_add(b.moved.data(), &b.list); });
  }
  add("pivot.compose", 1,
      [](const PivotKernels& k, Block& b) { k.compose(&b.layers, b.ranks.data(), kPivotBlock); });
}
