#pragma once

// Loads and stores vectors at any address, aligned or not.

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace gradwire {
namespace {

__m256i load256(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

__m128i load128(const uint8_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }

void store128(uint8_t* p, __m128i v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v); }

void store256(uint8_t* p, __m256i v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), v); }

__m128i load_8(const void* p) { return _mm_loadl_epi64(static_cast<const __m128i*>(p)); }

__m256i twice(const uint8_t table[16]) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
}

}  // namespace
}  // namespace gradwire
