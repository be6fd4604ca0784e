#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/element_source.hpp"
#include "base/elements.hpp"
#include "base/executor.hpp"

namespace gradwire {

/// An array cut into chunks: chunk i holds the elements from borders[i] up to, but not including,
/// borders[i + 1].
struct ChunkedArray {
  Elements elements;  ///< data is null if `source` makes the elements
  std::vector<std::uint64_t> borders;
  int threads;
  const ElementSource* source = nullptr;
  std::size_t number = 0;  ///< index of this array among those of `source`
  /// Whether the time to look for the shortest coding is worth more than the bytes it may save.
  bool is_minor = false;

  std::size_t size() const { return borders.size() - 1; }
  Elements chunk(std::size_t i) const { return elements.slice(borders[i], borders[i + 1]); }
  void for_each_chunk(const std::function<void(std::size_t, const Elements&)>& body) const {
    for_each(size(), threads, [&](std::size_t i) { body(i, chunk(i)); });
  }
};

}  // namespace gradwire
