#pragma once

// Treats elements of 1, 2, 4 or 8 bytes as unsigned integers, in loops that compilers vectorize.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace gradwire {
namespace {

template <typename T>
struct [[gnu::packed, gnu::may_alias]] Unaligned {
  T bits;
};

template <typename T>
void narrow_elements(const uint8_t* elements, size_t count, uint8_t zero, uint8_t* __restrict out) {
  const auto* in = reinterpret_cast<const Unaligned<T>*>(elements);
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<uint8_t>(in[i].bits - zero);
}

template <typename T>
void widen_bytes(const uint8_t* __restrict bytes, size_t count, uint8_t zero, uint64_t base,
                 uint8_t* elements) {
  auto* __restrict out = reinterpret_cast<Unaligned<T>*>(elements);
  const T first = static_cast<T>(base);
  for (size_t i = 0; i < count; ++i) {
    out[i].bits = static_cast<T>(first + static_cast<uint8_t>(bytes[i] - zero));
  }
}

// `out` may be `bytes`.
void add_to_bytes(const uint8_t* bytes, size_t count, uint8_t more, uint8_t* out) {
  if (more == 0) {
    if (bytes != out && count > 0) memcpy(out, bytes, count);
    return;
  }
  for (size_t i = 0; i < count; ++i) out[i] = static_cast<uint8_t>(bytes[i] + more);
}

void generic_narrow(const uint8_t* elements, size_t count, size_t width, uint8_t zero,
                    uint8_t* out) {
  switch (width) {
    case 1: return add_to_bytes(elements, count, static_cast<uint8_t>(-zero), out);
    case 2: return narrow_elements<uint16_t>(elements, count, zero, out);
    case 4: return narrow_elements<uint32_t>(elements, count, zero, out);
    default: return narrow_elements<uint64_t>(elements, count, zero, out);
  }
}

void generic_widen(const uint8_t* bytes, size_t count, uint8_t zero, uint64_t base, size_t width,
                   uint8_t* out) {
  switch (width) {
    case 1: return add_to_bytes(bytes, count, static_cast<uint8_t>(base - zero), out);
    case 2: return widen_bytes<uint16_t>(bytes, count, zero, base, out);
    case 4: return widen_bytes<uint32_t>(bytes, count, zero, base, out);
    default: return widen_bytes<uint64_t>(bytes, count, zero, base, out);
  }
}

template <typename T>
void extend_range(const uint8_t* elements, size_t count, uint64_t flip, uint64_t range[2]) {
  const auto* in = reinterpret_cast<const Unaligned<T>*>(elements);
  const T mask = static_cast<T>(flip);
  T smallest = static_cast<T>(range[0]);
  T largest = static_cast<T>(range[1]);
  for (size_t i = 0; i < count; ++i) {
    const T key = static_cast<T>(in[i].bits ^ mask);
    smallest = key < smallest ? key : smallest;
    largest = key > largest ? key : largest;
  }
  range[0] = smallest;
  range[1] = largest;
}

void generic_range(const uint8_t* elements, size_t count, size_t width, uint64_t flip,
                   uint64_t range[2]) {
  switch (width) {
    case 1: return extend_range<uint8_t>(elements, count, flip, range);
    case 2: return extend_range<uint16_t>(elements, count, flip, range);
    case 4: return extend_range<uint32_t>(elements, count, flip, range);
    default: return extend_range<uint64_t>(elements, count, flip, range);
  }
}

}  // namespace
}  // namespace gradwire
