#pragma once

// Loads and stores words at any address, aligned or not.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace gradwire {
namespace {

uint64_t load64(const uint8_t* p) {
  uint64_t word;
  memcpy(&word, p, 8);
  return word;
}

uint16_t load16(const uint8_t* p) {
  uint16_t word;
  memcpy(&word, p, 2);
  return word;
}

void store64(uint8_t* p, uint64_t word) { memcpy(p, &word, 8); }

void store32(uint8_t* p, uint32_t word) { memcpy(p, &word, 4); }

// Fetches what lies one page ahead: the processor's own prefetchers stop at the end of a page.
[[gnu::always_inline]] inline void fetch_ahead(const void* p) {
  constexpr uintptr_t kPage = 4096;
  __builtin_prefetch(reinterpret_cast<const void*>(reinterpret_cast<uintptr_t>(p) + kPage));
}

// Loads 8 bytes; those at or past `end` are not read and count as 0.
uint64_t load_until(const uint8_t* p, const uint8_t* end) {
  if (end - p >= 8) return load64(p);
  uint64_t word = 0;
  for (unsigned k = 0; p + k < end; ++k) word |= uint64_t{p[k]} << (8 * k);
  return word;
}

}  // namespace
}  // namespace gradwire
