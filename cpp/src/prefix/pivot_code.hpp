#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/kernels.hpp"
#include "prefix/pivot_tree.hpp"

namespace gradwire {

/// Elements of a block (FORMAT.md, section 5.3).
inline constexpr std::size_t kPivotBlock = std::size_t{1} << 14;

/// Whether the pivot layout is worth while for symbols of these weights, by a model of what both
/// layouts cost. `gradwire_bench --benchmark_filter=layout` measures them.
bool pivot_pays(const PrefixCode& code, std::span<const std::uint64_t> weights);

/// Coder of bytes in the pivot layout: the bits of all code words, but node by node of the code's
/// tree. Needs a code of two symbols or more; symbol i of it is bytes[i].
class PivotCode {
 public:
  PivotCode(const PrefixCode& code, std::span<const std::uint8_t> bytes);

  /// Writes the code words of `data` and returns their bits; nothing if there is not room for the
  /// words and 16 bytes more. Bytes without a code word get that of another one.
  std::optional<std::uint64_t> encode(std::span<const std::uint8_t> data,
                                      std::span<std::uint8_t> out) const;

  /// The bits that encode() writes if there is room.
  std::uint64_t code_length(std::span<const std::uint8_t> data) const;

  /// Fills `count` bytes. Throws CorruptFrameError if the payload has more or fewer bits.
  void decode(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
              std::uint8_t* out, std::size_t count) const;

 private:
  PivotTree tree_;
  std::vector<std::uint8_t> lengths_;  // of code words, by rank
  ByteMap ranks_;                      // of bytes
  ByteMap symbols_;                    // of ranks
  bool decodes_ranks_ = false;         // first, because flat subtrees add up ranks
};

}  // namespace gradwire
