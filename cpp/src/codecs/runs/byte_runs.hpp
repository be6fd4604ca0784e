#pragma once

#include <algorithm>
#include <cstdint>

#include "base/elements.hpp"

namespace gradwire {

/// Several runs of equal bytes, in order.
struct ByteRuns {
  const std::uint8_t* value;
  const std::uint16_t* length;
  std::size_t count;
};

/// Visits all maximal runs of the elements' lowest bytes: calls some(ByteRuns) for those inside a
/// window, and one(value, length) for those that touch its border. Always inline, so that what the
/// callbacks refer to can stay in registers.
template <typename Some, typename One>
[[gnu::always_inline]] inline void for_each_byte_run(const Elements& elements, Some&& some,
                                                     One&& one) {
  constexpr std::size_t kWindow = 4096;
  std::uint8_t narrow[kWindow];
  std::uint16_t starts[kWindow + 8];
  std::uint16_t lengths[kWindow];
  std::uint8_t values[kWindow];
  std::uint64_t open = 0;  // length so far of a run that may continue
  std::uint8_t open_value = 0;
  for (std::size_t base = 0; base < elements.count; base += kWindow) {
    const Elements part = elements.slice(base, std::min(base + kWindow, elements.count));
    const std::uint8_t* window = part.data;
    if (part.width() > 1) {
      kernels().bytes.narrow(part.data, part.count, part.width(), 0, narrow);
      window = narrow;
    }
    const std::size_t found = kernels().bytes.run_starts(window, part.count, 1, starts);
    starts[found] = static_cast<std::uint16_t>(part.count);
    for (std::size_t k = 0; k < found; ++k) {
      lengths[k] = static_cast<std::uint16_t>(starts[k + 1] - starts[k]);
    }
    for (std::size_t k = 0; k < found; ++k) values[k] = window[starts[k]];
    std::size_t first = 0;
    if (open > 0 && values[0] == open_value) {
      open += lengths[0];
      first = 1;
    }
    if (first == found) continue;
    if (open > 0) one(open_value, open);
    some(ByteRuns{values + first, lengths + first, found - 1 - first});
    open = lengths[found - 1];
    open_value = values[found - 1];
  }
  if (open > 0) one(open_value, open);
}

}  // namespace gradwire
