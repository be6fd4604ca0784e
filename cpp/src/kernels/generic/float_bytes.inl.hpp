#pragma once

// Splits floats into planes of bytes and leaves out zeros, without loss. `Steps` has the operations
// that an instruction set can do better: see GenericByteSteps.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../float_kernels.hpp"
#include "bits.inl.hpp"
#include "widths.inl.hpp"

namespace gradwire {
namespace {

template <typename T>
void split_one(const uint8_t* element, size_t i, uint8_t* const* planes) {
  constexpr unsigned kBits = 8 * sizeof(T);
  const T bits = reinterpret_cast<const Unaligned<T>*>(element)->bits;
  const T rotated = static_cast<T>(bits << 1 | bits >> (kBits - 1));
  for (unsigned k = 0; k < sizeof(T); ++k) planes[k][i] = static_cast<uint8_t>(rotated >> (8 * k));
}

template <typename T>
void join_one(const uint8_t* const* planes, size_t i, uint8_t* element) {
  constexpr unsigned kBits = 8 * sizeof(T);
  T rotated = 0;
  for (unsigned k = 0; k < sizeof(T); ++k) {
    rotated = static_cast<T>(rotated | static_cast<T>(T{planes[k][i]} << (8 * k)));
  }
  const T bits = static_cast<T>(rotated >> 1 | rotated << (kBits - 1));
  reinterpret_cast<Unaligned<T>*>(element)->bits = bits;
}

template <typename Steps, typename T>
void split_elements(const uint8_t* elements, size_t count, uint8_t* const* planes) {
  size_t i = Steps::template split_many<T>(elements, count, planes);
  for (; i < count; ++i) split_one<T>(elements + i * sizeof(T), i, planes);
}

template <typename Steps, typename T>
void join_elements(const uint8_t* const* planes, size_t count, uint8_t* elements) {
  size_t i = Steps::template join_many<T>(planes, count, elements);
  for (; i < count; ++i) join_one<T>(planes, i, elements + i * sizeof(T));
}

template <typename Steps>
void split(const uint8_t* elements, size_t count, size_t width, uint8_t* const* planes) {
  switch (width) {
    case 2: return split_elements<Steps, uint16_t>(elements, count, planes);
    case 4: return split_elements<Steps, uint32_t>(elements, count, planes);
    default: return split_elements<Steps, uint64_t>(elements, count, planes);
  }
}

template <typename Steps>
void join(const uint8_t* const* planes, size_t count, size_t width, uint8_t* elements) {
  switch (width) {
    case 2: return join_elements<Steps, uint16_t>(planes, count, elements);
    case 4: return join_elements<Steps, uint32_t>(planes, count, elements);
    default: return join_elements<Steps, uint64_t>(planes, count, elements);
  }
}

template <typename Steps, typename T>
size_t find_nonzero_bits(const uint8_t* elements, size_t count, uint8_t* bits) {
  constexpr size_t kStep = 32;
  size_t found = 0;
  const auto look_at = [&](const uint8_t* in, size_t i, size_t size) {
    const uint32_t word = Steps::template nonzero_32<T>(in);
    memcpy(bits + i / 8, &word, (size + 7) / 8);
    found += static_cast<size_t>(__builtin_popcount(word));
  };
  size_t i = 0;
  for (; i + kStep <= count; i += kStep) look_at(elements + i * sizeof(T), i, kStep);
  if (i == count) return found;
  uint8_t rest[kStep * sizeof(T)] = {};
  memcpy(rest, elements + i * sizeof(T), (count - i) * sizeof(T));
  look_at(rest, i, count - i);
  return found;
}

size_t generic_count_ones(const uint8_t* bits, size_t first, size_t count) {
  size_t ones = 0;
  size_t i = first;
  const size_t end = first + count;
  for (; i < end && i % 8 != 0; ++i) ones += bits[i / 8] >> i % 8 & 1;
  for (; i + 64 <= end; i += 64) {
    ones += static_cast<size_t>(__builtin_popcountll(load64(bits + i / 8)));
  }
  for (; i < end; ++i) ones += bits[i / 8] >> i % 8 & 1;
  return ones;
}

// Every element is written where the next kept one belongs; a zero is then overwritten. This needs
// no branches.
template <typename Steps, typename T>
void keep_elements(const uint8_t* elements, size_t count, size_t kept, uint8_t* out) {
  const auto* in = reinterpret_cast<const Unaligned<T>*>(elements);
  auto* to = reinterpret_cast<Unaligned<T>*>(out);
  size_t found = 0;
  size_t i = 0;
  for (; i + 8 <= count && found + 8 <= kept; i += 8) {
    found += Steps::template keep_8<T>(elements + i * sizeof(T), out + found * sizeof(T));
  }
  for (; i < count && found < kept; ++i) {
    to[found].bits = in[i].bits;
    found += in[i].bits != 0;
  }
}

template <typename T>
size_t put_one(uint8_t bit, const uint8_t* next, uint8_t* out) {
  const T bits = reinterpret_cast<const Unaligned<T>*>(next)->bits;
  reinterpret_cast<Unaligned<T>*>(out)->bits = static_cast<T>(bits & static_cast<T>(-T{bit}));
  return bit;
}

template <typename Steps, typename T>
size_t put_elements(const uint8_t* bits, size_t first, size_t count, const uint8_t* nonzeros,
                    uint8_t* out) {
  size_t taken = 0;
  size_t i = 0;
  const auto put = [&] {
    const uint8_t bit = bits[(first + i) / 8] >> (first + i) % 8 & 1;
    taken += put_one<T>(bit, nonzeros + taken * sizeof(T), out + i * sizeof(T));
    ++i;
  };
  while (i < count && (first + i) % 8 != 0) put();
  for (; i + 8 <= count; i += 8) {
    taken += Steps::template put_8<T>(bits[(first + i) / 8], nonzeros + taken * sizeof(T),
                                      out + i * sizeof(T));
  }
  while (i < count) put();
  return taken;
}

// The operations that an instruction set can do better:
//
//   struct Steps {
//     // Convert as many of the elements as they choose, from the first one on, and return that
//     // number.
//     static size_t split_many<T>(const uint8_t* elements, size_t count, uint8_t* const* planes);
//     static size_t join_many<T>(const uint8_t* const* planes, size_t count, uint8_t* elements);
//
//     // One bit for each of 32 elements: whether it is not zero.
//     static uint32_t nonzero_32<T>(const uint8_t* in);
//
//     // Packs the bits of `bits` at which `mask` is 1 into the lowest places; and the inverse.
//     static uint64_t extract(uint64_t bits, uint64_t mask);
//     static uint64_t deposit(uint64_t bits, uint64_t mask);
//
//     // Packs those of 8 elements that are not zero together in `out`, and returns their number.
//     static size_t keep_8<T>(const uint8_t* in, uint8_t* out);
//
//     // Writes 8 elements: the next one of `nonzeros` where `mask` is 1, and zero elsewhere.
//     // Returns the number taken from `nonzeros`.
//     static size_t put_8<T>(uint8_t mask, const uint8_t* nonzeros, uint8_t* out);
//   };
struct GenericByteSteps {
  template <typename T>
  static size_t split_many(const uint8_t*, size_t, uint8_t* const*) {
    return 0;
  }
  template <typename T>
  static size_t join_many(const uint8_t* const*, size_t, uint8_t*) {
    return 0;
  }
  template <typename T>
  static uint32_t nonzero_32(const uint8_t* in) {
    uint32_t word = 0;
    for (unsigned k = 0; k < 32; ++k) {
      word |= static_cast<uint32_t>(reinterpret_cast<const Unaligned<T>*>(in)[k].bits != 0) << k;
    }
    return word;
  }
  static uint64_t extract(uint64_t bits, uint64_t mask) { return extract_bits(bits, mask); }
  static uint64_t deposit(uint64_t bits, uint64_t mask) { return deposit_bits(bits, mask); }
  template <typename T>
  static size_t keep_8(const uint8_t* in, uint8_t* out) {
    size_t kept = 0;
    for (size_t k = 0; k < 8; ++k) {
      const T bits = reinterpret_cast<const Unaligned<T>*>(in)[k].bits;
      reinterpret_cast<Unaligned<T>*>(out)[kept].bits = bits;
      kept += bits != 0;
    }
    return kept;
  }
  template <typename T>
  static size_t put_8(uint8_t mask, const uint8_t* nonzeros, uint8_t* out) {
    size_t taken = 0;
    for (size_t k = 0; k < 8; ++k) {
      taken += put_one<T>(mask >> k & 1, nonzeros + taken * sizeof(T), out + k * sizeof(T));
    }
    return taken;
  }
};

template <typename Steps>
size_t nonzero_bits(const uint8_t* elements, size_t count, size_t width, uint8_t* bits) {
  switch (width) {
    case 2: return find_nonzero_bits<Steps, uint16_t>(elements, count, bits);
    case 4: return find_nonzero_bits<Steps, uint32_t>(elements, count, bits);
    default: return find_nonzero_bits<Steps, uint64_t>(elements, count, bits);
  }
}

template <typename Steps>
void keep_nonzeros(const uint8_t* elements, size_t count, size_t width, size_t kept, uint8_t* out) {
  switch (width) {
    case 2: return keep_elements<Steps, uint16_t>(elements, count, kept, out);
    case 4: return keep_elements<Steps, uint32_t>(elements, count, kept, out);
    default: return keep_elements<Steps, uint64_t>(elements, count, kept, out);
  }
}

template <typename Steps>
size_t put_nonzeros(const uint8_t* bits, size_t first, size_t count, size_t width,
                    const uint8_t* nonzeros, uint8_t* out) {
  switch (width) {
    case 2: return put_elements<Steps, uint16_t>(bits, first, count, nonzeros, out);
    case 4: return put_elements<Steps, uint32_t>(bits, first, count, nonzeros, out);
    default: return put_elements<Steps, uint64_t>(bits, first, count, nonzeros, out);
  }
}

}  // namespace
}  // namespace gradwire
