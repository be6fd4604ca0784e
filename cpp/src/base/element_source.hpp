#pragma once

#include <cstddef>
#include <cstdint>

namespace gradwire {

/// Previews begin at multiples of so many elements, and end there or at the array's end.
inline constexpr std::uint64_t kPreviewed = 1024;

/// Makes the elements of arrays that do not lie in memory, chunk by chunk. All arrays of a source
/// have the same number of elements.
class ElementSource {
 public:
  virtual ~ElementSource() = default;
  /// Elements of one array before their turn, for a sample. May be called again and again.
  virtual void preview(std::size_t array, std::uint64_t begin, std::uint64_t end,
                       std::uint8_t* out) const = 0;
  /// The elements of one chunk of every array, each to its own of `outs`. Called once for each
  /// chunk, by any thread.
  virtual void take(std::uint64_t begin, std::uint64_t end, std::uint8_t* const* outs) const = 0;
};

}  // namespace gradwire
