#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/elements.hpp"
#include "codecs/runs/byte_runs.hpp"
#include "prefix/key_index.hpp"
#include "prefix/symbol_map.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {

/// Finds the numbers of the symbols that runs are coded as. Immutable after construction.
class RunIndex {
 public:
  /// `max_run` and `range`: as in RunModel.
  RunIndex(std::span<const Symbol> symbols, std::uint64_t max_run, DType dtype, KeyRange range);

  static constexpr unsigned kMostCopies = 8;

  /// For each run, calls put(number, copies) if it is up to kMostCopies copies of a symbol, or
  /// rare(bits, run) if it is not in the direct table. Always inline, like for_each_byte_run.
  template <typename Put, typename Rare>
  [[gnu::always_inline]] inline void for_each_symbol(const Elements& chunk, Put&& put,
                                                     Rare&& rare) const {
    if (!range_.fits_a_byte()) [[unlikely]] {
      with_width(dtype_, [&]<typename T>() {
        for_each_run<T>(chunk, [&](std::size_t first, std::uint64_t run) {
          const std::uint64_t bits = load<T>(chunk, first);
          const std::uint32_t number =
              run == 1 ? single_.find(to_key(bits, dtype_)) : find_whole(bits, run);
          if (number != KeyIndex::kNone) {
            put(number, 1);
          } else {
            rare(bits, run);
          }
        });
      });
      return;
    }
    for_each_byte_run(
        chunk,
        [&](const ByteRuns& some) {
          const std::uint8_t* const columns = column_of_.data();
          const std::uint32_t* const direct = direct_.data();
          const std::uint64_t runs = direct_runs_;
          const unsigned column_bits = column_bits_;
          const ByteRuns own = some;
          for (std::size_t k = 0; k < own.count; ++k) {
            const std::size_t run = own.length[k];
            const std::uint8_t byte = own.value[k];
            const std::uint32_t entry = run < runs ? direct[run << column_bits | columns[byte]] : 0;
            if (entry != 0) {
              put(entry >> 8, entry & 255);
            } else {
              rare(whole_bits(byte), run);
            }
          }
        },
        [&](std::uint8_t byte, std::uint64_t run) { rare(whole_bits(byte), run); });
  }

  /// Calls put(number) for each symbol that a run is cut into, and escape(run) for each part that
  /// has no symbol.
  template <typename Put, typename Escape>
  void cut(std::uint64_t bits, std::uint64_t run, Put&& put, Escape&& escape) const {
    const std::uint64_t most = longest(bits, run);
    for (; run > 0; run -= std::min(run, most)) {
      const std::uint64_t part = std::min(run, most);
      if (const auto number = find(bits, part)) {
        put(*number);
      } else {
        escape(part);
      }
    }
  }

 private:
  std::optional<std::uint32_t> find(std::uint64_t bits, std::uint64_t run) const {
    if (run < direct_runs_) {
      const std::uint32_t entry = direct_[run << column_bits_ | column_of_[bits & 255]];
      return (entry & 255) == 1 ? std::optional(entry >> 8) : std::nullopt;
    }
    if (run == 1) {
      const std::uint32_t number = single_.find(to_key(bits, dtype_));
      return number != KeyIndex::kNone ? std::optional(number) : std::nullopt;
    }
    const std::uint64_t* const number = numbers_.find({to_key(bits, dtype_), run});
    return number != nullptr ? std::optional(static_cast<std::uint32_t>(*number)) : std::nullopt;
  }

  /// The most elements of a run that one symbol may stand for.
  std::uint64_t longest(std::uint64_t bits, std::uint64_t run) const {
    return max_run_ == 0 ? run : bits == 0 ? max_run_ : 1;
  }

  /// The number of the symbol of a whole run, or KeyIndex::kNone. For wide values; not inline, to
  /// keep the loop small.
  std::uint32_t find_whole(std::uint64_t bits, std::uint64_t run) const;

  void make_direct(std::span<const Symbol> symbols);

  /// The bits of the only value in the range that has this lowest byte.
  std::uint64_t whole_bits(std::uint8_t byte) const {
    const std::uint64_t above = (to_key(byte, dtype_) - range_.smallest) & 255;
    return from_key(range_.smallest + above, dtype_);
  }

  std::uint64_t max_run_;
  DType dtype_;
  KeyRange range_;
  KeyIndex single_;    // of the symbols that stand for one element, if direct_ is empty
  SymbolMap numbers_;  // of the symbols that are in neither of the two
  // A table for short runs of narrow values: number << 8 | copies, or 0 if there is no symbol. It
  // has a row for each run length, because most runs are short, and a column for each value.
  std::uint64_t direct_runs_ = 0;
  unsigned column_bits_ = 0;
  std::array<std::uint8_t, 256> column_of_{};
  std::vector<std::uint32_t> direct_;
};

}  // namespace gradwire
