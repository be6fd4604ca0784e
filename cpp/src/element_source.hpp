#pragma once

#include <cstdint>

namespace gradwire {

/// Makes the elements of an array that does not lie in memory, chunk by chunk.
class ElementSource {
 public:
  virtual ~ElementSource() = default;
  /// Elements before their turn, for a sample. May be called again and again.
  virtual void preview(std::uint64_t begin, std::uint64_t end, std::uint8_t* out) const = 0;
  /// The elements of one chunk. Called once for each, by any thread.
  virtual void take(std::uint64_t begin, std::uint64_t end, std::uint8_t* out) const = 0;
};

}  // namespace gradwire
