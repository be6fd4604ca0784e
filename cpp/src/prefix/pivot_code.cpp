#include "prefix/pivot_code.hpp"

#include <algorithm>
#include <cstring>

#include "base/byte_tables.hpp"
#include "base/scratch.hpp"
#include "gradwire/error.hpp"

namespace gradwire {
namespace {

constexpr std::size_t kMaskWords = kPivotBlock / 64;
constexpr std::size_t kListBytes = kPivotBlock + 64;
constexpr std::size_t kLevels = kMaxCodeLength + 1;

/// Masks and lists, one level for each node on the path from the root: about 0.5 MiB, of which
/// little is touched.
struct Workspace {
  std::uint64_t below[kLevels][kMaskWords];
  std::uint64_t above[kLevels][kMaskWords];
  std::uint8_t list[kLevels + 1][kListBytes];
};

/// The elements that a pass works on: members of a list of bytes.
struct Place {
  std::uint8_t* bytes;
  std::size_t size;
  const std::uint64_t* members;  // null: all bytes
  std::size_t count;             // number of members
  unsigned level;
};

PivotList list_at(const Place& place, Workspace& space) {
  return {place.bytes, place.size, place.members, space.below[place.level],
          space.above[place.level]};
}

/// Whether the members of a child are moved to a separate list.
bool gets_a_list(const PivotTree& tree, const PivotNode& child, std::size_t members,
                 std::size_t size) {
  return !child.is_leaf() && members != 0 &&
         is_worth_a_list(tree, child, members, size, kernels().pivot.move_cost);
}

/// Calls f(child, place, moved) for each child that has members and is not a leaf. Its place is
/// either a separate list, to which the members in the mask `moved` are moved, or its parent's list
/// behind a mask; then `moved` is null.
template <typename F>
void for_each_child(const PivotTree& tree, const PivotNode& node, const Place& place,
                    std::size_t above, Workspace& space, const F& f) {
  const std::uint64_t* const masks[] = {space.below[place.level], space.above[place.level]};
  const std::size_t counts[] = {place.count - above, above};
  for (unsigned k = 0; k < 2; ++k) {
    const PivotNode& child = tree[node.child[k]];
    if (gets_a_list(tree, child, counts[k], place.size)) {
      const Place own{space.list[place.level + 1], counts[k], nullptr, counts[k], place.level + 1};
      f(child, own, masks[k]);
    } else if (!child.is_leaf() && counts[k] != 0) {
      f(child, Place{place.bytes, place.size, masks[k], counts[k], place.level + 1}, nullptr);
    }
  }
}

class BlockEncoder {
 public:
  BlockEncoder(const PivotTree& tree, std::span<std::uint8_t> out)
      : tree_(tree), begin_(out.data()), end_(out.data() + out.size()), writer_{0, 0, begin_} {}

  /// Encodes a block, whose ranks must be in the first list. Returns false if they did not fit.
  bool encode(std::size_t size) {
    end_list(space_.list[0], size);
    encode(tree_.back(), {space_.list[0], size, nullptr, size, 0});
    return fits_;
  }

  /// Call at the end of the chunk. Returns the number of bits of all blocks.
  std::uint64_t finish() {
    std::memcpy(writer_.out, &writer_.bits, sizeof(writer_.bits));
    return static_cast<std::uint64_t>(writer_.out - begin_) * 8 + writer_.count;
  }
  Workspace& space() { return space_; }

 private:
  /// Writes zeros after a list: passes also test the rest of its last 64 bytes.
  static void end_list(std::uint8_t* list, std::size_t size) { std::memset(list + size, 0, 64); }

  bool has_room(std::size_t bits) {
    fits_ = fits_ && bits / 8 + 16 <= static_cast<std::size_t>(end_ - writer_.out);
    return fits_;
  }

  void encode(const PivotNode& node, const Place& place) {
    const PivotList list = list_at(place, space_);
    if (node.is_flat()) {
      for (unsigned bit = node.depth; bit-- > 0 && has_room(place.count);) {
        kernels().pivot.plane(&list, static_cast<std::uint8_t>(node.first), bit, &writer_);
      }
      return;
    }
    if (!has_room(place.count)) return;
    const std::size_t above =
        kernels().pivot.split(&list, static_cast<std::uint8_t>(node.pivot), &writer_);
    for_each_child(tree_, node, place, above, space_,
                   [&](const PivotNode& child, const Place& at, const std::uint64_t* moved) {
                     if (moved != nullptr) {
                       const PivotList from{place.bytes, place.size, moved, nullptr, nullptr};
                       kernels().pivot.gather(&from, at.bytes);
                       end_list(at.bytes, at.size);
                     }
                     encode(child, at);
                   });
  }

  const PivotTree& tree_;
  std::uint8_t* begin_;
  std::uint8_t* end_;
  PivotWriter writer_;
  bool fits_ = true;
  Scratch scratch_{sizeof(Workspace)};
  Workspace& space_ = *scratch_.as<Workspace>();
};

class BlockDecoder {
 public:
  /// The leaf of rank r is decoded to values[r].
  BlockDecoder(const PivotTree& tree, const std::uint8_t* values,
               std::span<const std::uint8_t> payload, const std::uint8_t* readable_end)
      : tree_(tree),
        values_(values),
        bits_(8 * std::uint64_t{payload.size()}),
        reader_{payload.data(), 0, readable_end} {}

  /// Decodes a block to `out`, which has room for `size` bytes, rounded up to a multiple of 64.
  void decode(std::uint8_t* out, std::size_t size) {
    decode_list(tree_.back(), {out, size, nullptr, size, 0}, values_[tree_.back().first]);
  }

  /// Call at the end of the chunk. Throws CorruptFrameError unless its bits are used up exactly.
  void finish() const {
    const std::uint8_t last = bits_ == 0 ? std::uint8_t{0} : reader_.in[bits_ / 8 - 1];
    const unsigned used = reader_.position % 8;
    if ((reader_.position + 7) / 8 != bits_ / 8 || (used != 0 && last >> used != 0)) {
      throw CorruptFrameError("the code words of a chunk do not end where the chunk ends");
    }
  }
  Workspace& space() { return space_; }

 private:
  std::uint8_t difference(std::uint32_t rank, std::uint32_t other) const {
    return static_cast<std::uint8_t>(values_[rank] - values_[other]);
  }

  /// Masks of a list's nodes that wait to be turned into bytes, at most one for each level.
  struct Layers {
    PivotLayers waiting;
    std::size_t levels;  // bit i is 1 if the mask of level i waits

    bool are_due() const { return waiting.count > 0 || !waiting.add; }
  };

  void compose(const Place& list, Layers& layers) {
    kernels().pivot.compose(&layers.waiting, list.bytes, list.size);
    layers.waiting.count = 0;
    layers.waiting.add = true;
    layers.levels = 0;
  }

  /// The list for a node's bits, with room for its mask; throws if the chunk ends too early.
  PivotList new_list(const Place& place, Layers& layers) {
    if (place.count > bits_ - reader_.position) {
      throw CorruptFrameError("the code words extend past the end of their chunk");
    }
    if (layers.waiting.count == kMaxLayers || (layers.levels >> place.level & 1)) {
      compose(place, layers);
    }
    return list_at(place, space_);
  }

  static void add_layer(const Place& place, const PivotList& list, std::uint8_t delta,
                        Layers& layers) {
    layers.waiting.mask[layers.waiting.count] = list.above;
    layers.waiting.delta[layers.waiting.count++] = delta;
    layers.levels |= std::size_t{1} << place.level;
  }

  /// Sets each byte to `value`, plus the value of its leaf, minus that of the node's first leaf.
  void decode_list(const PivotNode& node, const Place& list, std::uint8_t value) {
    Layers layers{};
    layers.waiting.value = value;
    decode(node, list, layers);
    if (layers.are_due()) compose(list, layers);
  }

  void decode(const PivotNode& node, Place place, Layers& layers) {
    if (node.is_flat()) {
      for (unsigned bit = node.depth; bit-- > 0; ++place.level) {
        const std::uint8_t delta = difference(node.first + (1u << bit), node.first);
        const PivotList list = new_list(place, layers);
        kernels().pivot.place_plane(&list, &reader_);
        add_layer(place, list, delta, layers);
      }
      return;
    }
    const PivotList list = new_list(place, layers);
    const std::size_t above = kernels().pivot.place(&list, &reader_);
    const std::uint8_t delta = difference(node.pivot, node.first);
    // A separate list starts from the delta, so its mask need not become a layer.
    const bool moves_above = gets_a_list(tree_, tree_[node.child[1]], above, place.size);
    if (!moves_above) add_layer(place, list, delta, layers);
    for_each_child(tree_, node, place, above, space_,
                   [&](const PivotNode& child, const Place& at, const std::uint64_t* moved) {
                     if (moved == nullptr) return decode(child, at, layers);
                     if (layers.are_due()) compose(place, layers);
                     decode_list(child, at, moved == list.above ? delta : std::uint8_t{0});
                     const PivotList to{place.bytes, place.size, moved, nullptr, nullptr};
                     kernels().pivot.scatter_add(at.bytes, &to);
                   });
  }

  const PivotTree& tree_;
  const std::uint8_t* values_;
  std::uint64_t bits_;
  PivotReader reader_;
  Scratch scratch_{sizeof(Workspace)};
  Workspace& space_ = *scratch_.as<Workspace>();
};

/// Estimated cycles per element to encode and decode, with AVX2 on a Zen 3 core.
double pivot_cycles(const PivotWork& work, std::size_t symbols) {
  return 0.15 + 0.004 * static_cast<double>(symbols) + 0.22 * work.passes + 0.75 * work.moves;
}
double classic_cycles(double mean_bits) { return 1.7 + 0.4 * mean_bits; }

/// Least estimated speedup for the pivot layout, which is slower without vector instructions.
constexpr double kLeastGain = 1.4;

}  // namespace

bool pivot_pays(const PrefixCode& code, std::span<const std::uint64_t> weights) {
  std::vector<std::uint64_t> in_order;
  double bits = 0;
  double elements = 0;
  for (const std::uint32_t symbol : code.in_order()) {
    in_order.push_back(weights[symbol]);
    bits += static_cast<double>(weights[symbol]) * code.length(symbol);
    elements += static_cast<double>(weights[symbol]);
  }
  const PivotWork work = pivot_work(pivot_tree(code), in_order);
  return kLeastGain * pivot_cycles(work, code.size()) <= classic_cycles(bits / elements);
}

PivotCode::PivotCode(const PrefixCode& code, std::span<const std::uint8_t> bytes)
    : tree_(pivot_tree(code)), ranks_{}, symbols_{} {
  std::vector<std::uint8_t> all_ranks;
  for (const std::uint32_t symbol : code.in_order()) {
    const auto rank = static_cast<std::uint8_t>(all_ranks.size());
    ranks_.to[bytes[symbol]] = rank;
    symbols_.to[rank] = bytes[symbol];
    lengths_.push_back(static_cast<std::uint8_t>(code.length(symbol)));
    all_ranks.push_back(rank);
  }
  set_rows(ranks_, bytes);
  set_rows(symbols_, all_ranks);
  for (const PivotNode& node : tree_) decodes_ranks_ = decodes_ranks_ || node.depth > 1;
}

std::optional<std::uint64_t> PivotCode::encode(std::span<const std::uint8_t> data,
                                               std::span<std::uint8_t> out) const {
  BlockEncoder encoder(tree_, out);
  for (std::size_t i = 0; i < data.size(); i += kPivotBlock) {
    const std::size_t size = std::min(kPivotBlock, data.size() - i);
    kernels().bytes.map_bytes(&ranks_, data.data() + i, size, encoder.space().list[0]);
    if (!encoder.encode(size)) return std::nullopt;
  }
  return encoder.finish();
}

std::uint64_t PivotCode::code_length(std::span<const std::uint8_t> data) const {
  std::uint64_t counts[256] = {};
  kernels().bytes.histogram(data.data(), data.size(), counts);
  std::uint64_t bits = 0;
  for (unsigned byte = 0; byte < 256; ++byte) bits += counts[byte] * lengths_[ranks_.to[byte]];
  return bits;
}

void PivotCode::decode(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
                       std::uint8_t* out, std::size_t count) const {
  std::uint8_t rank[256];
  for (unsigned i = 0; i < 256; ++i) rank[i] = static_cast<std::uint8_t>(i);
  BlockDecoder decoder(tree_, decodes_ranks_ ? rank : symbols_.to, payload, readable_end);
  for (std::size_t i = 0; i < count; i += kPivotBlock) {
    const std::size_t size = std::min(kPivotBlock, count - i);
    const bool in_place = !decodes_ranks_ && size % 64 == 0;
    std::uint8_t* const block = in_place ? out + i : decoder.space().list[0];
    decoder.decode(block, size);
    if (decodes_ranks_) {
      kernels().bytes.map_bytes(&symbols_, block, size, out + i);
    } else if (!in_place) {
      std::memcpy(out + i, block, size);
    }
  }
  decoder.finish();
}

}  // namespace gradwire
