#pragma once

// Finds where runs of equal elements begin.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace gradwire {
namespace {

template <typename T>
size_t run_starts_of(const uint8_t* data, size_t begin, size_t count, uint16_t* starts,
                     size_t found) {
  for (size_t i = begin; i < count; ++i) {
    T here, before;
    memcpy(&here, data + i * sizeof(T), sizeof(T));
    memcpy(&before, data + (i - 1) * sizeof(T), sizeof(T));
    starts[found] = static_cast<uint16_t>(i);
    found += here != before;
  }
  return found;
}

size_t run_starts_from(const uint8_t* data, size_t begin, size_t count, size_t width,
                       uint16_t* starts, size_t found) {
  switch (width) {
    case 1: return run_starts_of<uint8_t>(data, begin, count, starts, found);
    case 2: return run_starts_of<uint16_t>(data, begin, count, starts, found);
    case 4: return run_starts_of<uint32_t>(data, begin, count, starts, found);
    default: return run_starts_of<uint64_t>(data, begin, count, starts, found);
  }
}

size_t generic_run_starts(const uint8_t* data, size_t count, size_t width, uint16_t* starts) {
  if (count == 0) return 0;
  starts[0] = 0;
  return run_starts_from(data, 1, count, width, starts, 1);
}

}  // namespace
}  // namespace gradwire
