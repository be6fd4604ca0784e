#pragma once

// Turns bytes into tokens and back. `Steps` is what an instruction set does with a window of bytes;
// its contract stands above tokenize().

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../token_kernels.hpp"
#include "memory.inl.hpp"

namespace gradwire {
namespace {

constexpr size_t kTokenWindow = 16 * kBlockSize;  // bytes
constexpr size_t kSparePlaces = 64;               // entries that steps may write past the last one

// Some blocks in a row; the last one may be shorter.
struct TokenWindow {
  const uint8_t* bytes;
  size_t size;
};

// The window that begins at byte `base` of the sequence. Numbered blocks are copied to `room`.
TokenWindow window_at(const Blocks& blocks, size_t base, uint8_t room[kTokenWindow]) {
  const size_t size = blocks.size - base < kTokenWindow ? blocks.size - base : kTokenWindow;
  if (blocks.numbers == nullptr) return {blocks.data + base, size};
  const uint32_t* const numbers = blocks.numbers + base / kBlockSize;
  size_t b = 0;
  for (; (b + 1) * kBlockSize <= size; ++b) {
    memcpy(room + b * kBlockSize, blocks.data + numbers[b] * kBlockSize, kBlockSize);
  }
  const size_t rest = size % kBlockSize;
  if (rest != 0) memcpy(room + size - rest, blocks.data + numbers[b] * kBlockSize, rest);
  return {room, size};
}

// The bytes of a window that are not 0.
struct NonZeros {
  uint16_t place[kTokenWindow + kSparePlaces];
  uint8_t value[kTokenWindow + kSparePlaces];
  uint8_t first[kTokenWindow + kSparePlaces];  // TokenTable::first of the value
};

// Adds the nonzero bytes from byte i on to the `found` ones so far; returns the new number.
size_t nonzeros_from(const TokenWindow& window, size_t i, NonZeros& nonzeros, size_t found) {
  for (; i < window.size; ++i) {
    const uint8_t byte = window.bytes[i];
    nonzeros.place[found] = static_cast<uint16_t>(i);
    nonzeros.value[found] = byte;
    found += byte != 0;
  }
  return found;
}

// What an instruction set does with a window:
//
//   struct Steps {
//     // Finds the bytes that are not 0, about `expected` of them, and returns their number.
//     static size_t find(const TokenWindow& window, size_t expected, NonZeros& nonzeros);
//
//     // Fills `first` from `begin` up to the first value without a token, and returns the index of
//     // that value, or `end` if there is none. Entries from `end` on may be overwritten.
//     static size_t look_up(const TokenTable& table, NonZeros& nonzeros, size_t begin, size_t end);
//
//     // Writes the tokens of any number of values from `begin` on, advances `next` past them, and
//     // returns that number. The value before `begin` already has its token.
//     static size_t run(const NonZeros& nonzeros, size_t begin, size_t end, size_t max_zeros,
//                       uint8_t zeros_token, uint8_t*& next);
//   };
template <typename Steps>
TokenCounts tokenize(const TokenTable* table_of, const Blocks* sequence, uint8_t* tokens,
                     uint32_t* unknown) {
  const TokenTable& table = *table_of;
  const Blocks& blocks = *sequence;
  NonZeros nonzeros;
  uint8_t room[kTokenWindow];
  const size_t size = blocks.size;
  const size_t max_zeros = table.max_zeros;  // a copy, because stores of bytes may alias the table
  const uint8_t zeros_token = table.zeros;
  uint8_t* next = tokens;
  uint32_t* next_unknown = unknown;
  size_t covered = 0;  // number of bytes that the tokens so far stand for
  size_t found = 0;
  for (size_t base = 0; base < size; base += kTokenWindow) {
    found = Steps::find(window_at(blocks, base, room), found, nonzeros);
    size_t known = 0;  // `first` is filled for the values before this one
    for (size_t k = 0; k < found; ++k) {
      const size_t place = base + nonzeros.place[k];
      if (k == known) {
        known = Steps::look_up(table, nonzeros, k, found);
        if (k == known) {
          *next_unknown++ = static_cast<uint32_t>(place);
          ++known;
          continue;
        }
      }
      size_t zeros = place - covered;
      for (; zeros >= max_zeros; zeros -= max_zeros) *next++ = zeros_token;
      *next++ = static_cast<uint8_t>(nonzeros.first[k] + zeros);
      k += Steps::run(nonzeros, k + 1, known, max_zeros, zeros_token, next);
      covered = base + nonzeros.place[k] + 1;
    }
  }
  for (; covered < size; covered += max_zeros) *next++ = zeros_token;
  return {static_cast<size_t>(next - tokens), static_cast<size_t>(next_unknown - unknown)};
}

struct OneBlock {
  uint8_t* data;

  uint8_t* at(size_t i) const { return data + i; }
  void zero(size_t begin, size_t end) const { memset(data + begin, 0, end - begin); }
};

struct ManyBlocks {
  uint8_t* data;
  const uint32_t* numbers;

  uint8_t* at(size_t i) const {
    return data + size_t{numbers[i / kBlockSize]} * kBlockSize + i % kBlockSize;
  }
  void zero(size_t, size_t) const {}  // the caller has zeroed them
};

// Expands tokens one by one, from byte `place` on. Only a last token of zeros that begins inside
// may pass the end.
template <typename Out>
bool expand_rest(const Out& out, size_t place, size_t size, const ExpandTable& table,
                 const uint8_t* tokens, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t entry = table.entry[tokens[i]];
    const size_t run = entry >> 16;
    if (run > size - place) return (entry & 255) == 0 && place < size && i + 1 == count;
    *out.at(place + run - 1) = static_cast<uint8_t>(entry);
    place += run;
  }
  return place == size;
}

template <typename Out>
bool expand_to(const Out& out, size_t size, const ExpandTable& table, const uint8_t* tokens,
               size_t count) {
  constexpr size_t kStep = 4;
  constexpr size_t kAhead = 4096;  // bytes that are zeroed at once, just before they are needed
  size_t zeroed = 0;
  size_t place = 0;
  size_t i = 0;
  for (; i + kStep <= count && size - place >= kStep * kMaxTokenRun; i += kStep) {
    if (zeroed - place < kStep * kMaxTokenRun) {
      const size_t more = size - zeroed < kAhead ? size - zeroed : kAhead;
      out.zero(zeroed, zeroed + more);
      zeroed += more;
    }
    for (size_t k = 0; k < kStep; ++k) {
      const uint32_t entry = table.entry[tokens[i + k]];
      *out.at(place + (entry >> 8 & 255)) = static_cast<uint8_t>(entry);
      place += entry >> 16;
    }
  }
  out.zero(zeroed, size);
  return expand_rest(out, place, size, table, tokens + i, count - i);
}

bool generic_expand(const ExpandTable* table, const uint8_t* tokens, size_t count,
                    const OutBlocks* out) {
  return out->numbers == nullptr
             ? expand_to(OneBlock{out->data}, out->size, *table, tokens, count)
             : expand_to(ManyBlocks{out->data, out->numbers}, out->size, *table, tokens, count);
}

struct GenericTokenSteps {
  static size_t find(const TokenWindow& window, size_t, NonZeros& nonzeros) {
    return nonzeros_from(window, 0, nonzeros, 0);
  }
  static size_t look_up(const TokenTable& table, NonZeros& nonzeros, size_t begin, size_t end) {
    for (; begin < end; ++begin) {
      const uint16_t first = table.first[nonzeros.value[begin]];
      if (first == kNoToken) break;
      nonzeros.first[begin] = static_cast<uint8_t>(first);
    }
    return begin;
  }
  static size_t run(const NonZeros&, size_t, size_t, size_t, uint8_t, uint8_t*&) { return 0; }
};

}  // namespace
}  // namespace gradwire
