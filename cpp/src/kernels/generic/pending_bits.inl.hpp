#pragma once

// Writes bits one after the other.

#include <stddef.h>
#include <stdint.h>

#include "memory.inl.hpp"

namespace gradwire {
namespace {

// Bits that wait to be stored; fewer than 8 between calls. Callers join code words before a call,
// because each call has to wait for the one before it. Loops work on a local copy: as far as the
// compiler knows, the stores might change any other object.
struct Pending {
  uint64_t bits;
  unsigned count;
  uint8_t* out;

  void put(uint64_t words, unsigned length) {
    bits |= words << count;
    count += length;
    store64(out, bits);
    out += count >> 3;
    bits >>= count & 56;
    count &= 7;
  }
};

}  // namespace
}  // namespace gradwire
