#pragma once

#include <cstddef>
#include <cstdint>

namespace gradwire {

/// Alignment of previews, in elements: they begin at a multiple of it, and end at a multiple of it
/// or at the array's end.
inline constexpr std::uint64_t kPreviewed = 1024;

/// Makes the elements of arrays that are not in memory, chunk by chunk. All arrays of a source have
/// the same number of elements.
class ElementSource {
 public:
  virtual ~ElementSource() = default;
  /// Writes elements [begin, end) of one array to `out` ahead of their turn, for a sample. May be
  /// called any number of times.
  virtual void preview(std::size_t array, std::uint64_t begin, std::uint64_t end,
                       std::uint8_t* out) const = 0;
  /// Makes elements [begin, end), which are one chunk, of every array; those of array k go to
  /// outs[k]. Called once for each chunk, by any thread.
  virtual void take(std::uint64_t begin, std::uint64_t end, std::uint8_t* const* outs) const = 0;
};

}  // namespace gradwire
