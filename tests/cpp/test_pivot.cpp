#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

#include "all_kernels.hpp"
#include "gradwire/error.hpp"
#include "prefix/code_lengths.hpp"
#include "prefix/pivot_code.hpp"
#include "random.hpp"

using namespace gradwire;

namespace {

using Bytes = std::vector<std::uint8_t>;
using Masks = std::vector<std::uint64_t>;

/// A list of bytes with room behind it, and masks of which about one bit in `sparsity` is 1.
struct List {
  List(std::size_t size, unsigned sparsity) : bytes(size + 128), members(size / 64 + 1) {
    std::mt19937_64 random(size + sparsity);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
    for (std::size_t i = 0; i < size; ++i) {
      if (random() % sparsity == 0) members[i / 64] |= std::uint64_t{1} << i % 64;
    }
    below.resize(members.size());
    above.resize(members.size());
    view = {bytes.data(), size, members.data(), below.data(), above.data()};
  }
  bool is_member(std::size_t i) const {
    return view.members == nullptr || (view.members[i / 64] >> i % 64 & 1);
  }
  Bytes bytes;
  Masks members, below, above;
  PivotList view;
};

/// Runs f(kernels, list) for lists of many sizes, with masks and without.
template <typename F>
void for_each_list(const F& f) {
  for (const std::size_t size : {0u, 1u, 63u, 64u, 65u, 1000u, 4096u}) {
    for (const unsigned sparsity : {1u, 2u, 20u, 1000u}) {
      for (const bool all : {false, true}) {
        for (const Kernels* kernels : all_kernels()) {
          List list(size, sparsity);
          if (all) list.view.members = nullptr;
          f(*kernels, list);
        }
      }
    }
  }
}

/// What a pass over a list writes, and what reading it gives, for the bits that `bit` tells.
template <typename Bit, typename Write, typename Read>
void check_pass(List& list, const Bit& bit, const Write& write, const Read& read) {
  Bytes expected;
  std::vector<bool> ones;
  for (std::size_t i = 0; i < list.view.size; ++i) {
    if (list.is_member(i)) ones.push_back(bit(list.bytes[i]));
  }
  Bytes out(list.view.size / 8 + 32);
  PivotWriter writer{5, 3, out.data()};  // 3 bits wait
  write(&writer);
  std::memcpy(writer.out, &writer.bits, 8);
  const std::size_t written = static_cast<std::size_t>(writer.out - out.data()) * 8 + writer.count;
  REQUIRE(written == ones.size() + 3);
  CHECK((out[0] & 7) == 5);
  for (std::size_t k = 0; k < ones.size(); ++k) {
    REQUIRE((out[(k + 3) / 8] >> (k + 3) % 8 & 1) == ones[k]);
  }
  out.resize((written + 7) / 8);
  PivotReader reader{out.data(), 3, out.data() + out.size()};
  read(&reader);
  CHECK(reader.position == written);
  for (std::size_t i = 0; i < list.view.size; ++i) {
    REQUIRE((list.above[i / 64] >> i % 64 & 1) == (list.is_member(i) && bit(list.bytes[i])));
  }
}

}  // namespace

TEST_CASE("a pass over a node writes a bit for each member, and reads it again") {
  for_each_list([](const Kernels& kernels, List& list) {
    for (const std::uint8_t pivot : {1, 127, 128, 200}) {
      std::size_t ones[2] = {};
      check_pass(
          list, [&](std::uint8_t rank) { return rank >= pivot; },
          [&](PivotWriter* writer) { ones[0] = kernels.pivot.split(&list.view, pivot, writer); },
          [&](PivotReader* reader) { ones[1] = kernels.pivot.place(&list.view, reader); });
      std::size_t expected = 0;
      for (std::size_t i = 0; i < list.view.size; ++i) {
        const bool above = list.is_member(i) && list.bytes[i] >= pivot;
        expected += above;
        REQUIRE((list.below[i / 64] >> i % 64 & 1) == (list.is_member(i) && !above));
      }
      CHECK(ones[0] == expected);
      CHECK(ones[1] == expected);
    }
  });
}

TEST_CASE("a pass over a plane writes one bit of the ranks") {
  for_each_list([](const Kernels& kernels, List& list) {
    for (const unsigned bit : {0u, 3u, 7u}) {
      const std::uint8_t first = 77;
      check_pass(
          list, [&](std::uint8_t rank) { return (rank - first) >> bit & 1; },
          [&](PivotWriter* writer) { kernels.pivot.plane(&list.view, first, bit, writer); },
          [&](PivotReader* reader) { kernels.pivot.place_plane(&list.view, reader); });
    }
  });
}

TEST_CASE("members are moved to a list, and added from it") {
  for_each_list([](const Kernels& kernels, List& list) {
    if (list.view.members == nullptr) return;
    Bytes expected;
    for (std::size_t i = 0; i < list.view.size; ++i) {
      if (list.is_member(i)) expected.push_back(list.bytes[i]);
    }
    Bytes moved(expected.size() + 64);
    kernels.pivot.gather(&list.view, moved.data());
    CHECK(std::equal(expected.begin(), expected.end(), moved.begin()));
    const Bytes before = list.bytes;
    kernels.pivot.scatter_add(moved.data(), &list.view);
    for (std::size_t i = 0; i < list.view.size; ++i) {
      const unsigned factor = list.is_member(i) ? 2 : 1;
      REQUIRE(list.bytes[i] == static_cast<std::uint8_t>(factor * before[i]));
    }
  });
}

TEST_CASE("bytes are composed from masks") {
  for (unsigned count = 0; count <= kMaxLayers; ++count) {
    for_each_list([=](const Kernels& kernels, List& list) {
      for (const bool add : {false, true}) {
        PivotLayers layers{};
        layers.add = add;
        layers.value = 200;
        std::vector<List> masks;
        for (unsigned k = 0; k < count; ++k) masks.emplace_back(list.view.size, k + 2);
        for (const List& mask : masks) {
          layers.mask[layers.count] = mask.members.data();
          layers.delta[layers.count] = static_cast<std::uint8_t>(91 * layers.count + 30);
          ++layers.count;
        }
        const Bytes before = list.bytes;
        kernels.pivot.compose(&layers, list.bytes.data(), list.view.size);
        for (std::size_t i = 0; i < list.view.size; ++i) {
          unsigned expected = add ? before[i] : 200;
          for (unsigned k = 0; k < count; ++k) {
            expected += masks[k].is_member(i) ? layers.delta[k] : 0;
          }
          REQUIRE(list.bytes[i] == static_cast<std::uint8_t>(expected));
        }
      }
    });
  }
}

TEST_CASE("bytes are mapped") {
  for (const Kernels* kernels : all_kernels()) {
    for (const unsigned rows : {1u, 2u, 3u, 5u, 9u, 16u}) {
      ByteMap map{};
      map.rows = static_cast<std::uint8_t>(rows);
      for (unsigned k = 0; k < 16; ++k) {
        map.row[k] = static_cast<std::uint8_t>(k < rows ? 15 - k : 15);
        if (k >= rows) continue;
        for (unsigned i = 0; i < 16; ++i) {
          map.to[16 * map.row[k] + i] = static_cast<std::uint8_t>(7 * (16 * k + i) + 1);
        }
      }
      for (const std::size_t size : {0u, 1u, 31u, 64u, 1000u}) {
        const Bytes in = skewed_bytes(size, 1.0, 8);
        Bytes out(size);
        kernels->bytes.map_bytes(&map, in.data(), size, out.data());
        for (std::size_t i = 0; i < size; ++i) REQUIRE(out[i] == map.to[in[i]]);
      }
    }
  }
}

TEST_CASE("pivot tree: flat subtrees have leaves of one depth") {
  // Lengths 1, 3, 3, 3, 4, 4: the right half of the root is not flat, its left child is.
  const PrefixCode code({3, 1, 3, 4, 3, 4}, PrefixCode::kNeverRead);
  const auto tree = pivot_tree(code);
  const PivotNode& root = tree.back();
  CHECK(root.pivot == 1);
  CHECK(root.depth == 0);
  CHECK(tree[root.child[0]].is_leaf());
  const PivotNode& right = tree[root.child[1]];
  CHECK(!right.is_flat());
  CHECK(tree[right.child[0]].depth == 1);
  CHECK(root.passes == 5);
  const PrefixCode even(std::vector<std::uint8_t>(16, 4), PrefixCode::kNeverRead);
  CHECK(pivot_tree(even).back().depth == 4);
  CHECK(pivot_tree(even).back().passes == 4);
}

TEST_CASE("pivot layout there and back; every other size is an error") {
  for (const double factor : {1.0, 0.97, 0.8, 0.6, 0.3, 0.05}) {
    for (const unsigned alphabet : {2u, 3u, 5u, 64u, 256u}) {
      for (const std::size_t size : {2u, 63u, 16384u, 16385u, 50000u}) {
        auto data = skewed_bytes(size, factor, 9, alphabet);
        data[0] = 0;
        data[1] = 37;
        std::vector<std::uint64_t> weights;
        Bytes symbols;
        for (unsigned s = 0; s < alphabet; ++s) {
          symbols.push_back(static_cast<std::uint8_t>(s * 37));
          const auto count = std::count(data.begin(), data.end(), symbols.back());
          weights.push_back(static_cast<std::uint64_t>(count));
        }
        INFO("factor ", factor, ", ", alphabet, " symbols, ", size, " bytes");
        const PrefixCode code(code_lengths(weights, kFastCode), PrefixCode::kNeverRead);
        const PivotCode pivot(code, symbols);
        std::uint64_t expected = 0;
        for (unsigned s = 0; s < alphabet; ++s) expected += weights[s] * code.length(s);
        Bytes out(size * 3 + 16);
        REQUIRE(pivot.encode(data, out) == expected);
        out.resize((expected + 7) / 8);
        Bytes too_small(out.size());
        CHECK(!pivot.encode(data, too_small).has_value());
        Bytes back(size);
        pivot.decode(out, out.data() + out.size(), back.data(), size);
        CHECK(back == data);
        const std::span<const std::uint8_t> all(out);
        CHECK_THROWS_AS(
            pivot.decode(all.first(all.size() - 1), all.data() + all.size(), back.data(), size),
            CorruptFrameError);
        CHECK_THROWS_AS(pivot.decode(all, all.data() + all.size(), back.data(), size / 16),
                        CorruptFrameError);
      }
    }
  }
}
