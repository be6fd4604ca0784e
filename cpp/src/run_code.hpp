#pragma once

#include <array>
#include <memory>
#include <vector>

#include "code_book.hpp"
#include "codec_table.hpp"
#include "prefix_code.hpp"
#include "symbol_map.hpp"

namespace gradwire {

/// The part that rlh and shs share: one code word per (value, run) pair, with an escape for the
/// pairs that the book lacks (FORMAT.md, section 5.4).

/// Writes pairs. Immutable once made.
class PairWriter {
 public:
  /// Symbols with weights, ascending; their code is optimal for the weights. `narrow`: the lowest
  /// byte tells all values apart. `escape_weight` 0: every pair will be in the book.
  PairWriter(std::vector<Symbol> symbols, std::vector<std::uint64_t> weights,
             std::uint64_t escape_weight, DType dtype, bool narrow);

  std::span<const std::uint8_t> code_book() const { return book_bytes_; }

  template <typename T>
  void write(BitWriter& writer, T bits, std::uint64_t run) const {
    if (run < direct_runs_) {
      const std::uint32_t entry = direct_[row_of_[bits & 255] * direct_runs_ + run];
      if (entry != kNone) {
        writer.put(entry >> 8, entry & 255);
        return;
      }
    }
    writer = write_rare(writer, bits, run);
  }

 private:
  static constexpr std::uint32_t kNone = 255;
  void make_rows(std::span<const Symbol> symbols);
  /// By value, so that writers can stay in registers; see omega.hpp.
  BitWriter write_rare(BitWriter writer, std::uint64_t bits, std::uint64_t run) const;

  DType dtype_;
  std::vector<std::uint8_t> book_bytes_;
  std::unique_ptr<PrefixCode> code_;
  // Short runs of narrow values find their code words at once: a row for each value, and one more
  // for all others.
  std::uint64_t direct_runs_ = 0;
  std::array<std::uint16_t, 256> row_of_{};
  std::vector<std::uint32_t> direct_;  // code word << 8 | length, or kNone
  SymbolMap index_;                    // of the other symbols
  std::size_t escape_ = 0;
};

/// Decodes the chunks of both codecs.
std::unique_ptr<Decoder> make_pair_decoder(std::span<const std::uint8_t> code_book,
                                           const CodedArray& array);

}  // namespace gradwire
