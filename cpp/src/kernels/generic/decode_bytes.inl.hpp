#pragma once

// Decodes bytes, each from its code word, from several streams side by side.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../code_kernels.hpp"
#include "memory.inl.hpp"

namespace gradwire {
namespace {

uint64_t lookup_index(uint64_t window) { return window & ((1u << kLookupBits) - 1); }

uint32_t reverse24(uint32_t x) {
  x = (x & 0x555555) << 1 | ((x >> 1) & 0x555555);
  x = (x & 0x333333) << 2 | ((x >> 2) & 0x333333);
  x = (x & 0x0F0F0F) << 4 | ((x >> 4) & 0x0F0F0F);
  return (x & 0xFF) << 16 | (x & 0xFF00) | (x >> 16 & 0xFF);
}

// The symbol of a code word longer than word_bits, and its length.
uint8_t long_symbol(const ByteDecodeTable& table, uint64_t bits, unsigned& length) {
  const uint32_t aligned = reverse24(static_cast<uint32_t>(bits & 0xFFFFFF));
  const uint32_t place = (aligned - table.limit[table.word_bits]) >> table.long_shift;
  if (place < kLongEntries) {
    length = table.long_words[place] & 255;
    return static_cast<uint8_t>(table.long_words[place] >> 8);
  }
  length = table.word_bits + 1;
  while (length < kMaxCodeLength && aligned >= table.limit[length]) ++length;
  const uint32_t index = table.offset[length] + (aligned >> (kMaxCodeLength - length));
  return table.order[index & 255];
}

// A stream in the hot loop. The window holds the next bits below a sentinel 1. The number of its
// leading zeros is the number of bits used, so that one register is enough for both.
struct Lane {
  uint64_t window;
  const uint8_t* in;
  uint8_t* out;
};

// N lanes side by side, because each look-up waits about 7 cycles for the one before it in its
// lane. This is a list and not an array, because compilers keep its members in registers.
template <unsigned N>
struct Lanes {
  Lane lane;
  Lanes<N - 1> rest;
};
template <>
struct Lanes<0> {};

constexpr uint64_t kSentinel = uint64_t{1} << 63;
constexpr unsigned kLooksPerRefill = 4;  // 4 * 12 bits fit into the 56 that a refill guarantees
constexpr size_t kMostSymbols = 6 * kLooksPerRefill + 1;  // symbols of a lane in one round
constexpr size_t kMostBytes = 10;  // bytes a lane uses in one round, long words included

void refill(Lane& lane) {
  const unsigned used = static_cast<unsigned>(__builtin_clzll(lane.window));
  lane.in += used >> 3;
  lane.window = (load64(lane.in) | kSentinel) >> (used & 7);
}

// Decodes one long code word from a window that was just refilled.
void decode_long(const ByteDecodeTable& table, Lane& lane) {
  unsigned length;
  *lane.out++ = long_symbol(table, lane.window, length);
  lane.window >>= length;
  refill(lane);
}

// Finds up to six symbols per look-up, for short code words. look() returns whether a long code
// word has stopped the lane: its entry is 0, which stands for no bits and no symbols.
struct SixSymbols {
  static uint64_t entry(const ByteDecodeTable& table, const Lane& lane) {
    return table.six[lookup_index(lane.window)];
  }
  static bool look(const ByteDecodeTable& table, Lane& lane) {
    const uint64_t e = entry(table, lane);
    lane.window >>= e & 63;
    store64(lane.out, e >> 16 | e << 48);  // a single rotation; only the lowest 6 bytes matter
    lane.out += (e >> 8) & 255;
    return e == 0;
  }
};

// Finds up to three symbols per look-up, for longer code words, in a table of half the size.
struct ThreeSymbols {
  static uint32_t entry(const ByteDecodeTable& table, const Lane& lane) {
    return table.three[lookup_index(lane.window)];
  }
  static bool look(const ByteDecodeTable& table, Lane& lane) {
    const uint32_t e = entry(table, lane);
    lane.window >>= e & 63;
    store32(lane.out, e >> 6 | e << 26);  // a single rotation; only the lowest 3 bytes matter
    lane.out += e >> 30;
    return e == 0;
  }
};

// The functions below treat all lanes of a list.

template <typename Look>
bool look(const ByteDecodeTable&, Lanes<0>&) {
  return false;
}

template <typename Look, unsigned N>
bool look(const ByteDecodeTable& table, Lanes<N>& lanes) {
  const bool here = Look::look(table, lanes.lane);
  const bool there = look<Look>(table, lanes.rest);
  return here | there;
}

void refill(Lanes<0>&) {}

template <unsigned N>
void refill(Lanes<N>& lanes) {
  refill(lanes.lane);
  refill(lanes.rest);
}

void load(Lanes<0>&, const Lane*) {}

template <unsigned N>
void load(Lanes<N>& lanes, const Lane* from) {
  lanes.lane = *from;
  load(lanes.rest, from + 1);
}

void store(const Lanes<0>&, Lane*) {}

template <unsigned N>
void store(const Lanes<N>& lanes, Lane* to) {
  *to = lanes.lane;
  store(lanes.rest, to + 1);
}

// Decodes one long code word in each lane that was stopped by one.
template <typename Look>
[[gnu::noinline]] void decode_stopped(const ByteDecodeTable& table, Lane* lanes, unsigned count) {
  for (unsigned k = 0; k < count; ++k) {
    if (Look::entry(table, lanes[k]) == 0) decode_long(table, lanes[k]);
  }
}

// Without long code words, no lane can be stopped, and the check is left out: 1.1 times as fast.
template <typename Look, unsigned N, bool HasLongWords>
[[gnu::noinline]] void decode_rounds(const ByteDecodeTable& table, Lane* lane, size_t rounds) {
  Lanes<N> lanes;
  load(lanes, lane);
  for (; rounds > 0; --rounds) {
    bool stopped;
#pragma GCC unroll 8
    for (unsigned i = 0; i < kLooksPerRefill; ++i) stopped = look<Look>(table, lanes);
    refill(lanes);
    if (HasLongWords && stopped) {
      store(lanes, lane);
      decode_stopped<Look>(table, lane, N);
      load(lanes, lane);
    }
  }
  store(lanes, lane);
}

template <typename Look, unsigned N>
void decode_with(const ByteDecodeTable& table, Lane* lanes, size_t rounds) {
  if (table.has_long_words) {
    decode_rounds<Look, N, true>(table, lanes, rounds);
  } else {
    decode_rounds<Look, N, false>(table, lanes, rounds);
  }
}

// Number of rounds that are certain to keep every lane inside its output and its readable input.
template <unsigned N>
size_t safe_rounds(const Lane* lanes, uint8_t* const* out_end, const uint8_t* readable_end) {
  size_t rounds = SIZE_MAX;
  for (unsigned k = 0; k < N; ++k) {
    const size_t room = static_cast<size_t>(out_end[k] - lanes[k].out);
    const size_t input = static_cast<size_t>(readable_end - lanes[k].in);
    const size_t by_out = room < 8 ? 0 : (room - 8) / kMostSymbols;
    const size_t by_in = input < 8 + kMostBytes ? 0 : (input - 8) / kMostBytes;
    if (by_out < rounds) rounds = by_out;
    if (by_in < rounds) rounds = by_in;
  }
  return rounds;
}

// Decodes the last symbols of a stream, one at a time. Returns whether they use it up exactly.
bool decode_tail(const ByteDecodeTable& table, const DecodeStream& stream, const Lane& lane) {
  const unsigned used = static_cast<unsigned>(__builtin_clzll(lane.window));
  const uint64_t size = static_cast<uint64_t>(stream.in_end - stream.in);
  uint64_t position = static_cast<uint64_t>(lane.in - stream.in) * 8 + used;
  uint8_t* out = lane.out;
  while (out != stream.out_end) {
    if (position > size * 8) return false;
    uint64_t window = load_until(stream.in + (position >> 3), stream.in_end) >> (position & 7);
    for (unsigned k = 0; k < 2 && out != stream.out_end; ++k) {
      const uint32_t entry = table.single[lookup_index(window)];
      unsigned length = entry & 63;
      *out++ = length != 0 ? static_cast<uint8_t>(entry >> 8) : long_symbol(table, window, length);
      window >>= length;
      position += length;
    }
  }
  if ((position + 7) / 8 != size) return false;
  return (position & 7) == 0 || stream.in_end[-1] >> (position & 7) == 0;
}

template <unsigned N>
void decode_lanes(const ByteDecodeTable& table, Lane* lanes, uint8_t* const* out_end,
                  const uint8_t* readable_end) {
  for (;;) {
    const size_t rounds = safe_rounds<N>(lanes, out_end, readable_end);
    if (rounds == 0) return;
    if (table.few_symbols) {
      decode_with<ThreeSymbols, N>(table, lanes, rounds);
    } else {
      decode_with<SixSymbols, N>(table, lanes, rounds);
    }
  }
}

void decode_active(const ByteDecodeTable& table, Lane* lanes, size_t active,
                   uint8_t* const* out_end, const uint8_t* readable_end) {
  switch (active) {
    case 8: return decode_lanes<8>(table, lanes, out_end, readable_end);
    case 7: return decode_lanes<7>(table, lanes, out_end, readable_end);
    case 6: return decode_lanes<6>(table, lanes, out_end, readable_end);
    case 5: return decode_lanes<5>(table, lanes, out_end, readable_end);
    case 4: return decode_lanes<4>(table, lanes, out_end, readable_end);
    case 3: return decode_lanes<3>(table, lanes, out_end, readable_end);
    case 2: return decode_lanes<2>(table, lanes, out_end, readable_end);
    default: return decode_lanes<1>(table, lanes, out_end, readable_end);
  }
}

// All streams run side by side until the first of them end; then the others continue.
bool generic_decode_bytes(const ByteDecodeTable* table, const DecodeStream* streams, size_t count,
                          const uint8_t* readable_end) {
  Lane lanes[kMaxStreams];
  uint8_t* out_end[kMaxStreams];
  size_t stream_of[kMaxStreams];
  if (count > kMaxStreams) return false;
  for (size_t k = 0; k < count; ++k) {
    const DecodeStream& stream = streams[k];
    lanes[k] = {load_until(stream.in, readable_end) | kSentinel, stream.in, stream.out};
    out_end[k] = stream.out_end;
    stream_of[k] = k;
  }
  size_t active = count;
  while (active > 0) {
    decode_active(*table, lanes, active, out_end, readable_end);
    for (size_t k = active; k-- > 0;) {
      if (safe_rounds<1>(&lanes[k], &out_end[k], readable_end) != 0) continue;
      if (!decode_tail(*table, streams[stream_of[k]], lanes[k])) return false;
      --active;
      lanes[k] = lanes[active];
      out_end[k] = out_end[active];
      stream_of[k] = stream_of[active];
    }
  }
  return true;
}

}  // namespace
}  // namespace gradwire
