#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "prefix/symbol_map.hpp"

namespace gradwire {

/// Finds the symbols of single elements by their keys: in a table if the keys lie close together,
/// otherwise in a hash map. Immutable after construction.
class KeyIndex {
 public:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  KeyIndex() = default;

  /// `symbols`: ascending; those with a run of 1 are found, by their index.
  explicit KeyIndex(std::span<const Symbol> symbols) {
    if (symbols.empty()) return;
    constexpr std::uint64_t kAlways = std::uint64_t{1} << 16;  // entries; more must be in good use
    constexpr std::uint64_t kPerSymbol = 8;
    smallest_ = symbols.front().key;
    const std::uint64_t span = symbols.back().key - smallest_;
    if (span < std::max<std::uint64_t>(kAlways, kPerSymbol * symbols.size())) {
      table_.resize(static_cast<std::size_t>(span) + 1, kNone);
    }
    for (std::size_t i = 0; i < symbols.size(); ++i) {
      if (symbols[i].run != 1) continue;
      if (table_.empty()) {
        map_[symbols[i]] = i;
      } else {
        table_[symbols[i].key - smallest_] = static_cast<std::uint32_t>(i);
      }
    }
  }

  /// The index of a key's symbol, or kNone.
  std::uint32_t find(std::uint64_t key) const {
    if (!table_.empty()) {
      const std::uint64_t place = key - smallest_;
      return place < table_.size() ? table_[place] : kNone;
    }
    const std::uint64_t* const number = map_.find({key, 1});
    return number != nullptr ? static_cast<std::uint32_t>(*number) : kNone;
  }

 private:
  std::uint64_t smallest_ = 0;
  std::vector<std::uint32_t> table_;  // by distance from the smallest key
  SymbolMap map_;                     // if there is no table
};

}  // namespace gradwire
