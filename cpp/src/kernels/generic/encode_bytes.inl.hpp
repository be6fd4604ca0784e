#pragma once

// Encodes bytes, each as its code word.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../code_kernels.hpp"
#include "memory.inl.hpp"
#include "pending_bits.inl.hpp"

namespace gradwire {
namespace {

// Code words of `Count` bytes, joined at the top: each word enters there and shifts the earlier
// ones down. Two shortcuts save steps. Entries keep their length in the low bits; those bits are
// shifted out at the end. Lengths are summed by adding whole entries; only the lowest byte of the
// sum is meaningful.
struct Joined {
  uint64_t top;
  uint64_t length;

  // The joined words, shifted down to bit 0. They must have 1 to 56 bits.
  uint64_t words() const { return top >> (-length & 63); }
};

template <unsigned Count>
Joined join(const uint64_t* words, const uint8_t* data) {
  Joined joined{words[data[0]], words[data[0]]};
  for (unsigned k = 1; k < Count; ++k) {
    const uint64_t entry = words[data[k]];
    joined.top = joined.top >> (entry & 63) | entry;
    joined.length += entry;
  }
  return joined;
}

[[gnu::noinline]] Pending put_each(const uint64_t* words, const uint8_t* data, size_t size,
                                   Pending pending) {
  for (size_t i = 0; i < size; ++i) {
    const uint64_t entry = words[data[i]];
    pending.put(entry >> (-entry & 63), entry & 63);
  }
  return pending;
}

constexpr unsigned kMostPut = 56;  // bits of one put(): with 7 waiting bits, they fit into 64

// Number of steps of `symbols` symbols that need no check for the ends of input and output.
size_t safe_steps(size_t symbols, const uint8_t* data, const uint8_t* end, const uint8_t* out,
                  const uint8_t* out_end) {
  const size_t by_in = static_cast<size_t>(end - data) / symbols;
  const size_t by_out = static_cast<size_t>(out_end - out) / (symbols * kMaxCodeLength / 8 + 8);
  return by_in < by_out ? by_in : by_out;
}

// Encodes 2 * Half symbols per step, in two chains that need not wait for each other.
template <unsigned Half>
bool encode_singles(const uint64_t* words, const uint8_t* data, size_t size, Pending* shared,
                    const uint8_t* out_end) {
  constexpr size_t kStep = 2 * Half;
  Pending pending = *shared;
  const uint8_t* const end = data + size;
  while (const size_t steps = safe_steps(kStep, data, end, pending.out, out_end)) {
    for (const uint8_t* const stop = data + steps * kStep; data != stop; data += kStep) {
      const Joined a = join<Half>(words, data);
      const Joined b = join<Half>(words, data + Half);
      const uint64_t length = (a.length + b.length) & 255;
      if (length <= kMostPut) {
        pending.put(a.words() | b.words() << (a.length & 63), static_cast<unsigned>(length));
      } else {
        pending = put_each(words, data, kStep, pending);
      }
    }
  }
  for (; data < end; ++data) {
    if (out_end - pending.out < 8) return false;
    pending = put_each(words, data, 1, pending);
  }
  *shared = pending;
  return true;
}

bool encode_any(const ByteEncodeTable& table, const uint8_t* data, size_t size, Pending* pending,
                const uint8_t* out_end) {
  return table.mean_length <= 5 ? encode_singles<4>(table.word, data, size, pending, out_end)
                                : encode_singles<3>(table.word, data, size, pending, out_end);
}

constexpr uint32_t kPairWords = (1u << kPairBits) - 1;

// Encodes two symbols per look-up.
template <unsigned Pairs>
bool encode_pairs(const ByteEncodeTable& table, const uint8_t* data, size_t size, Pending* shared,
                  const uint8_t* out_end) {
  constexpr size_t kStep = 2 * Pairs;
  const uint32_t* const pair = table.pair;
  Pending pending = *shared;
  const uint8_t* const end = data + size;
  while (const size_t steps = safe_steps(kStep, data, end, pending.out, out_end)) {
    for (const uint8_t* const stop = data + steps * kStep; data != stop; data += kStep) {
      uint64_t words = 0;
      unsigned length = 0;
      for (unsigned k = 0; k < Pairs; ++k) {
        const uint32_t entry = pair[load16(data + 2 * k)];
        words |= uint64_t{entry & kPairWords} << (length & 63);
        length += entry >> kPairBits;
      }
      if (length <= kMostPut) {
        pending.put(words, length);
      } else {
        pending = put_each(table.word, data, kStep, pending);
      }
    }
  }
  *shared = pending;
  return encode_any(table, data, static_cast<size_t>(end - data), shared, out_end);
}

size_t finish(const Pending& pending, const uint8_t* out, const uint8_t* out_end) {
  if (out_end - pending.out < 8) return SIZE_MAX;
  store64(pending.out, pending.bits);
  return static_cast<size_t>(pending.out - out) * 8 + pending.count;
}

size_t generic_encode_bytes(const ByteEncodeTable* table, const uint8_t* data, size_t size,
                            uint8_t* out, uint8_t* out_end) {
  Pending pending{0, 0, out};
  const auto encode = table->pair == nullptr    ? encode_any
                      : table->mean_length <= 5 ? encode_pairs<4>
                                                : encode_pairs<3>;
  const bool fits = encode(*table, data, size, &pending, out_end);
  return fits ? finish(pending, out, out_end) : SIZE_MAX;
}

}  // namespace
}  // namespace gradwire
