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

// Loads 8 bytes; those at or past `end` are not read and count as 0.
uint64_t load_until(const uint8_t* p, const uint8_t* end) {
  if (end - p >= 8) return load64(p);
  uint64_t word = 0;
  for (unsigned k = 0; p + k < end; ++k) word |= uint64_t{p[k]} << (8 * k);
  return word;
}

}  // namespace
}  // namespace gradwire
