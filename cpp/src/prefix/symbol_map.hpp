#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "base/splitmix.hpp"
#include "prefix/code_book.hpp"

namespace gradwire {

/// A hash map from symbols to numbers, with open addressing. It is faster than std::unordered_map,
/// which allocates memory for each entry.
class SymbolMap {
 public:
  /// Makes room for this many symbols.
  void reserve(std::size_t symbols) {
    if (2 * symbols > slots_.size()) resize(std::bit_ceil(2 * symbols));
  }

  /// The number of a symbol. A new symbol is inserted with the number 0.
  std::uint64_t& operator[](const Symbol& symbol) {
    if (2 * (size_ + 1) > slots_.size()) resize(slots_.empty() ? 64 : 2 * slots_.size());
    Slot& slot = slots_[place(symbol)];
    if (!slot.used) {
      slot = {symbol, 0, true};
      ++size_;
    }
    return slot.number;
  }

  /// The number of a symbol, or nullptr if it is not in the map.
  const std::uint64_t* find(const Symbol& symbol) const {
    if (slots_.empty()) return nullptr;
    const Slot& slot = slots_[place(symbol)];
    return slot.used ? &slot.number : nullptr;
  }

  std::size_t size() const { return size_; }

  /// The largest number of slots that the search for an entry passes over.
  std::size_t longest_search() const {
    std::size_t longest = 0;
    for (std::size_t i = 0; i < slots_.size(); ++i) {
      if (!slots_[i].used) continue;
      const std::size_t distance = (i - first_place(slots_[i].symbol)) & (slots_.size() - 1);
      longest = std::max(longest, distance);
    }
    return longest;
  }

  /// Calls f(symbol, number) for each entry, in no particular order.
  template <typename F>
  void for_each(F&& f) const {
    for (const Slot& slot : slots_) {
      if (slot.used) f(slot.symbol, slot.number);
    }
  }

 private:
  struct Slot {
    Symbol symbol;
    std::uint64_t number;
    bool used;
  };

  /// The slot where the search for a symbol begins. All bits of the symbol must matter to the low
  /// bits of the hash: honest keys may differ in a few of their high bits only.
  std::size_t first_place(const Symbol& symbol) const {
    return mix(symbol.key ^ symbol.run * 0x9E3779B97F4A7C15) & (slots_.size() - 1);
  }

  std::size_t place(const Symbol& symbol) const {
    std::size_t i = first_place(symbol);
    while (slots_[i].used && slots_[i].symbol != symbol) i = (i + 1) & (slots_.size() - 1);
    return i;
  }

  void resize(std::size_t slots) {
    std::vector<Slot> old(slots);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.used) slots_[place(slot.symbol)] = slot;
    }
  }

  std::vector<Slot> slots_;  // their number is a power of two; at most half are in use
  std::size_t size_ = 0;
};

}  // namespace gradwire
