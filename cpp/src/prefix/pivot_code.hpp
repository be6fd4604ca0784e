#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/kernels.hpp"
#include "prefix/pivot_tree.hpp"

namespace gradwire {

/// Number of elements in a block (FORMAT.md, section 5.3).
inline constexpr std::size_t kPivotBlock = std::size_t{1} << 14;

/// Whether the pivot layout is worthwhile for symbols of these weights, by a cost model of both
/// layouts. `gradwire_bench --benchmark_filter=layout` measures both.
bool pivot_pays(const PrefixCode& code, std::span<const std::uint64_t> weights);

/// Codes bytes in the pivot layout, which stores the bits of the code words node by node of the
/// code's tree. Needs a code of two or more symbols; symbol i stands for bytes[i].
class PivotCode {
 public:
  PivotCode(const PrefixCode& code, std::span<const std::uint8_t> bytes);

  /// Writes the code words of `data` and returns their number of bits, or nullopt unless there is
  /// room for the words and 16 more bytes. Bytes without a code word get that of another byte.
  std::optional<std::uint64_t> encode(std::span<const std::uint8_t> data,
                                      std::span<std::uint8_t> out) const;

  /// The number of bits that encode() writes if there is room.
  std::uint64_t code_length(std::span<const std::uint8_t> data) const;

  /// Fills `count` bytes. Throws CorruptFrameError if the payload has more or fewer bits.
  void decode(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
              std::uint8_t* out, std::size_t count) const;

 private:
  PivotTree tree_;
  std::vector<std::uint8_t> lengths_;  // bits of code words, by rank
  ByteMap ranks_;                      // from bytes to ranks
  ByteMap symbols_;                    // from ranks to bytes
  bool decodes_ranks_ = false;         // before bytes: flat subtrees add up ranks
};

}  // namespace gradwire
