#pragma once

#include <memory>
#include <vector>

#include "code_book.hpp"
#include "codec_table.hpp"
#include "prefix_code.hpp"
#include "symbol_map.hpp"

namespace gradwire {

/// The part that rlh and shs share: one code word per (value, run) pair, with an escape for the
/// pairs that the book lacks (FORMAT.md, section 5.4).

/// Short runs of values that are told apart by their lowest byte find their place here directly.
inline constexpr std::uint64_t kDirectRuns = 64;
constexpr std::size_t direct_index(std::uint64_t bits, std::uint64_t run) {
  return (bits & 255) * kDirectRuns + run;
}
inline constexpr std::size_t kDirectSize = 256 * kDirectRuns;

/// Whether that table is used: the values differ in their lowest byte, and the array repays it.
inline bool use_direct(const ChunkedArray& array, bool narrow) {
  return narrow && array.elements.count >= kDirectSize;
}

/// Writes pairs. Immutable once made.
class PairWriter {
 public:
  /// Symbols with weights, ascending; their code is optimal for the weights. `direct`: see
  /// use_direct. `escape_weight` 0: every pair will be in the book.
  PairWriter(std::vector<Symbol> symbols, std::vector<std::uint64_t> weights,
             std::uint64_t escape_weight, DType dtype, bool direct);

  std::span<const std::uint8_t> code_book() const { return book_bytes_; }

  template <typename T>
  void write(BitWriter& writer, T bits, std::uint64_t run) const {
    if (!direct_.empty() && run < kDirectRuns) {
      const std::uint32_t entry = direct_[direct_index(bits, run)];
      if (entry != kNone) {
        writer.put(entry >> 8, entry & 255);
        return;
      }
    }
    writer = write_rare(writer, bits, run);
  }

 private:
  static constexpr std::uint32_t kNone = 255;
  /// By value, so that writers can stay in registers; see omega.hpp.
  BitWriter write_rare(BitWriter writer, std::uint64_t bits, std::uint64_t run) const;

  DType dtype_;
  std::vector<std::uint8_t> book_bytes_;
  std::unique_ptr<PrefixCode> code_;
  std::vector<std::uint32_t> direct_;  // code word << 8 | length, or kNone
  SymbolMap index_;
  std::size_t escape_ = 0;
};

/// Decodes the chunks of both codecs.
std::unique_ptr<Decoder> make_pair_decoder(std::span<const std::uint8_t> code_book, DType dtype,
                                           std::uint64_t count);

}  // namespace gradwire
