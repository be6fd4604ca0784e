#pragma once

// Splits elements into the symbols of bins and fields of plain bits, and joins them again.

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../bin_kernels.hpp"
#include "memory.inl.hpp"
#include "pending_bits.inl.hpp"

namespace gradwire {
namespace {

template <typename T>
T element_at(const uint8_t* elements, size_t i) {
  T bits;
  memcpy(&bits, elements + i * sizeof(T), sizeof(T));
  return bits;
}

uint64_t lowest_bits(uint64_t bits, unsigned count) {
  return count >= 64 ? bits : bits & ((uint64_t{1} << (count & 63)) - 1);
}

// The cell of a distance in steps.
size_t cell_of(int64_t distance) {
  const uint64_t sign = static_cast<uint64_t>(distance >> 63);
  const uint64_t size = static_cast<uint64_t>(distance) ^ sign;
  const unsigned log2 = 63 - static_cast<unsigned>(__builtin_clzll(size | (1u << kCellBits)));
  const unsigned shift = log2 - kCellBits;
  // The cells of an octave begin where those of the octave before end: the leading 1 counts, too.
  const size_t cell = (size_t{shift} << kCellBits) + static_cast<size_t>(size >> shift);
  return (sign & kCellsOfSign) + cell;
}

// The distance of an element from the center in steps; sets `is_whole` to false if there is a rest.
template <typename T, bool HasStep>
int64_t distance_of(const BinFinder& finder, T element, bool& is_whole) {
  using Signed = decltype([] {
    if constexpr (sizeof(T) == 1) return int8_t{};
    if constexpr (sizeof(T) == 2) return int16_t{};
    if constexpr (sizeof(T) == 4) return int32_t{};
    if constexpr (sizeof(T) == 8) return int64_t{};
  }());
  const int64_t distance =
      static_cast<Signed>(static_cast<T>(element - static_cast<T>(finder.center)));
  if constexpr (!HasStep) return distance;
  const uint64_t shifted = static_cast<uint64_t>(distance >> finder.shift);
  const uint64_t quotient = shifted * finder.inverse;
  is_whole = lowest_bits(static_cast<uint64_t>(distance), finder.shift) == 0 &&
             quotient + finder.limit <= 2 * finder.limit;
  return static_cast<int64_t>(quotient);
}

// The symbol of the interval that has a distance; `otherwise` if there is none.
uint8_t search_intervals(const Intervals& all, int64_t distance, uint8_t otherwise) {
  if (all.count == 0) return otherwise;
  size_t begin = 0;
  size_t size = all.count;
  while (size > 1) {
    const size_t half = size / 2;
    begin += all.first[begin + half] <= distance ? half : 0;
    size -= half;
  }
  const bool is_inside = all.first[begin] <= distance && distance <= all.last[begin];
  return is_inside ? all.symbol[begin] : otherwise;
}

[[gnu::noinline]] uint8_t search_symbol(const BinFinder& finder, int64_t distance) {
  const uint8_t symbol = search_intervals(finder.singles, distance, kSearched);
  return symbol != kSearched ? symbol : search_intervals(finder.bins, distance, finder.escape);
}

struct BinPlace {
  uint8_t symbol;
  uint64_t field;
};

template <typename T, bool HasStep, bool IsDirect>
BinPlace place_of(const BinFinder& finder, T element) {
  bool is_whole = true;
  const int64_t distance = distance_of<T, HasStep>(finder, element, is_whole);
  uint8_t symbol = IsDirect ? finder.direct[element] : finder.symbol[cell_of(distance)];
  if (!IsDirect) {
    if (symbol == kSearched) symbol = search_symbol(finder, distance);
    if (HasStep && !is_whole) symbol = finder.escape;
  }
  const uint64_t above =
      static_cast<uint64_t>(distance) - static_cast<uint64_t>(finder.low[symbol]);
  return {symbol, finder.has_escape && symbol == finder.escape ? uint64_t{element} : above};
}

// Appends a field of up to 64 bits.
void put_wide(Pending& pending, uint64_t field, unsigned size) {
  if (size > 56) {
    pending.put(field & 0xFFFFFFFF, 32);
    field >>= 32;
    size -= 32;
  }
  pending.put(field, size);
}

template <typename T, bool HasStep, bool IsDirect>
size_t write_bins_of(const BinFinder& finder, const BinTable& table, const uint8_t* elements,
                     size_t count, uint8_t* symbols, uint8_t* out) {
  constexpr size_t kTogether = 4;
  Pending pending{0, 0, out};
  const auto write_one = [&](size_t i) {
    const BinPlace place = place_of<T, HasStep, IsDirect>(finder, element_at<T>(elements, i));
    symbols[i] = place.symbol;
    put_wide(pending, place.field, table.bits[place.symbol]);
  };
  size_t i = 0;
  for (; i + kTogether <= count; i += kTogether) {
    uint64_t fields = 0;
    unsigned bits = 0;
    for (size_t k = i; k < i + kTogether; ++k) {
      const BinPlace place = place_of<T, HasStep, IsDirect>(finder, element_at<T>(elements, k));
      symbols[k] = place.symbol;
      fields |= place.field << (bits & 63);
      bits += table.bits[place.symbol];
    }
    if (bits <= 56) {
      pending.put(fields, bits);
    } else {
      for (size_t k = i; k < i + kTogether; ++k) write_one(k);
    }
  }
  for (; i < count; ++i) write_one(i);
  store64(pending.out, pending.bits);
  return static_cast<size_t>(pending.out - out) * 8 + pending.count;
}

template <typename T>
size_t write_bins(const BinFinder& finder, const BinTable& table, const uint8_t* elements,
                  size_t count, uint8_t* symbols, uint8_t* out) {
  auto write = table.has_steps ? write_bins_of<T, true, false> : write_bins_of<T, false, false>;
  if constexpr (sizeof(T) == 2) {
    if (finder.direct != nullptr) {
      write = table.has_steps ? write_bins_of<T, true, true> : write_bins_of<T, false, true>;
    }
  }
  return write(finder, table, elements, count, symbols, out);
}

size_t generic_write_bins(const BinFinder* finder, const BinTable* table, const uint8_t* elements,
                          size_t count, size_t width, uint8_t* symbols, uint8_t* out) {
  switch (width) {
    case 1: return write_bins<uint8_t>(*finder, *table, elements, count, symbols, out);
    case 2: return write_bins<uint16_t>(*finder, *table, elements, count, symbols, out);
    case 4: return write_bins<uint32_t>(*finder, *table, elements, count, symbols, out);
    default: return write_bins<uint64_t>(*finder, *table, elements, count, symbols, out);
  }
}

// Reads the fields of the last elements.
struct FieldReader {
  const uint8_t* in;
  const uint8_t* in_end;
  uint64_t position;  // in bits; may lie past the end, where bits are 0

  uint64_t few(unsigned size) {  // size <= 56
    const uint64_t byte = position >> 3;
    const uint64_t word =
        byte < static_cast<uint64_t>(in_end - in) ? load_until(in + byte, in_end) : 0;
    const uint64_t field = lowest_bits(word >> (position & 7), size);
    position += size;
    return field;
  }
  uint64_t take(unsigned size) {
    if (size <= 56) return few(size);
    const uint64_t low = few(32);
    return low | few(size - 32) << 32;
  }
};

template <typename T, bool HasSteps>
T join_bin(const BinTable& table, uint8_t symbol, uint64_t field) {
  const T more = static_cast<T>(HasSteps ? field * table.step[symbol] : field);
  return static_cast<T>(static_cast<T>(table.low[symbol]) + more);
}

template <typename T, bool HasSteps>
bool read_bins_of(const BinTable& table, const uint8_t* symbols, size_t count, const uint8_t* in,
                  const uint8_t* in_end, uint8_t* out) {
  constexpr size_t kTogether = 16;
  const size_t bytes = static_cast<size_t>(in_end - in);
  const size_t reach = kTogether * table.most_bits / 8 + 9;  // bytes that these may need
  FieldReader reader{in, in_end, 0};
  size_t i = 0;
  uint64_t position = 0;
  if (bytes >= reach) {
    for (; i + kTogether <= count && position / 8 <= bytes - reach; i += kTogether) {
      for (size_t k = i; k < i + kTogether; ++k) {
        const uint8_t symbol = symbols[k];
        const unsigned size = table.bits[symbol];
        uint64_t field = load64(in + (position >> 3)) >> (position & 7);
        if (sizeof(T) == 8 && size > 56) {
          const uint64_t above = position + 32;
          field = (field & 0xFFFFFFFF) | load64(in + (above >> 3)) >> (above & 7) << 32;
        }
        const T element = join_bin<T, HasSteps>(table, symbol, lowest_bits(field, size));
        memcpy(out + k * sizeof(T), &element, sizeof(T));
        position += size;
      }
    }
  }
  reader.position = position;
  for (; i < count; ++i) {
    const T element = join_bin<T, HasSteps>(table, symbols[i], reader.take(table.bits[symbols[i]]));
    memcpy(out + i * sizeof(T), &element, sizeof(T));
  }
  if ((reader.position + 7) / 8 != bytes) return false;
  return (reader.position & 7) == 0 || in_end[-1] >> (reader.position & 7) == 0;
}

template <typename T>
bool read_bins(const BinTable& table, const uint8_t* symbols, size_t count, const uint8_t* in,
               const uint8_t* in_end, uint8_t* out) {
  const auto read = table.has_steps ? read_bins_of<T, true> : read_bins_of<T, false>;
  return read(table, symbols, count, in, in_end, out);
}

bool generic_read_bins(const BinTable* table, const uint8_t* symbols, size_t count, size_t width,
                       const uint8_t* in, const uint8_t* in_end, uint8_t* out) {
  switch (width) {
    case 1: return read_bins<uint8_t>(*table, symbols, count, in, in_end, out);
    case 2: return read_bins<uint16_t>(*table, symbols, count, in, in_end, out);
    case 4: return read_bins<uint32_t>(*table, symbols, count, in, in_end, out);
    default: return read_bins<uint64_t>(*table, symbols, count, in, in_end, out);
  }
}

template <typename T>
size_t find_others_from(const uint8_t* elements, size_t begin, size_t count, uint64_t value,
                        uint32_t* places, size_t found) {
  for (size_t i = begin; i < count; ++i) {
    places[found] = static_cast<uint32_t>(i);
    found += element_at<T>(elements, i) != static_cast<T>(value);
  }
  return found;
}

size_t generic_find_others(const uint8_t* elements, size_t count, size_t width, uint64_t value,
                           uint32_t* places) {
  switch (width) {
    case 1: return find_others_from<uint8_t>(elements, 0, count, value, places, 0);
    case 2: return find_others_from<uint16_t>(elements, 0, count, value, places, 0);
    case 4: return find_others_from<uint32_t>(elements, 0, count, value, places, 0);
    default: return find_others_from<uint64_t>(elements, 0, count, value, places, 0);
  }
}

}  // namespace
}  // namespace gradwire
