#include "codecs/entropy/parts.hpp"

#include <algorithm>
#include <cstring>

#include "codecs/entropy/form.hpp"
#include "gradwire/error.hpp"

namespace gradwire {
namespace {

template <typename T>
T* values_after(std::uint32_t* counts, std::size_t count) {
  return reinterpret_cast<T*>(counts + (count + 8) / 2 * 2);  // aligned, also for 8 bytes
}

template <typename T>
TwoParts two_parts(const std::uint32_t* counts, const T* values, std::size_t size, DType dtype) {
  return {{reinterpret_cast<const std::uint8_t*>(counts), size, kCounts},
          {reinterpret_cast<const std::uint8_t*>(values), size, dtype}};
}

template <typename T>
void store_element(std::uint8_t* elements, std::size_t i, T bits) {
  std::memcpy(elements + i * sizeof(T), &bits, sizeof(T));
}

template <typename T>
void fill(std::uint8_t* out, std::size_t count, T bits) {
  if constexpr (sizeof(T) == 1) {
    std::memset(out, bits, count);
  } else {
    for (std::size_t i = 0; i < count; ++i) store_element(out, i, bits);
  }
}

}  // namespace

TwoParts split_gaps(const Elements& sequence, std::uint64_t background, const Scratch& room) {
  auto* const counts = room.as<std::uint32_t>();
  const std::size_t found = kernels().bins.find_others(sequence.data, sequence.count,
                                                       sequence.width(), background, counts);
  return with_width(sequence.dtype, [&]<typename T>() {
    T* const values = values_after<T>(counts, sequence.count);
    std::uint32_t next = 0;
    for (std::size_t i = 0; i < found; ++i) {
      const std::uint32_t place = counts[i];
      values[i] = load<T>(sequence, place);
      counts[i] = place - next;
      next = place + 1;
    }
    return two_parts(counts, values, found, sequence.dtype);
  });
}

void join_gaps(const TwoParts& parts, std::uint64_t background, std::uint8_t* out,
               std::size_t count) {
  with_width(parts.values.dtype, [&]<typename T>() {
    fill(out, count, static_cast<T>(background));
    std::uint64_t place = 0;
    bool is_inside = true;
    for (std::size_t i = 0; i < parts.counts.count; ++i) {
      place += load<std::uint32_t>(parts.counts, i);
      is_inside &= place < count;
      store_element(out, is_inside ? place : 0, load<T>(parts.values, i));
      ++place;
    }
    if (!is_inside) throw CorruptFrameError("an element lies past the end of its chunk");
  });
}

TwoParts split_runs(const Elements& sequence, const Scratch& room) {
  auto* const counts = room.as<std::uint32_t>();
  return with_width(sequence.dtype, [&]<typename T>() {
    T* const values = values_after<T>(counts, sequence.count);
    std::size_t found = 0;
    for_each_run<T>(sequence, [&](std::size_t first, std::size_t length) {
      values[found] = load<T>(sequence, first);
      counts[found++] = static_cast<std::uint32_t>(length - 1);
    });
    return two_parts(counts, values, found, sequence.dtype);
  });
}

void join_runs(const TwoParts& parts, std::uint8_t* out, std::size_t count) {
  with_width(parts.values.dtype, [&]<typename T>() {
    std::size_t left = count;
    for (std::size_t i = 0; i < parts.counts.count; ++i) {
      const std::size_t length = std::size_t{load<std::uint32_t>(parts.counts, i)} + 1;
      if (length > left) throw CorruptFrameError("a run extends past the end of its chunk");
      fill(out, length, load<T>(parts.values, i));
      out += length * sizeof(T);
      left -= length;
    }
    if (left != 0) throw CorruptFrameError("the runs of a chunk do not fill it");
  });
}

Elements pairs(const Elements& bytes, std::uint8_t base, const Scratch& room) {
  const std::size_t half = bytes.count / 2;
  for (std::size_t i = 0; i < half; ++i) {
    room.data()[i] = static_cast<std::uint8_t>(bytes.data[2 * i] + base * bytes.data[2 * i + 1]);
  }
  if (bytes.count % 2 != 0) room.data()[half] = bytes.data[2 * half];
  return {room.data(), half + bytes.count % 2, DType::kUInt8};
}

void split_pairs(const std::uint8_t* pairs, std::uint8_t base, std::uint8_t* out,
                 std::size_t count) {
  std::uint16_t both[256];
  for (unsigned pair = 0; pair < 256; ++pair) {
    both[pair] = static_cast<std::uint16_t>(pair % base | pair / base << 8);
  }
  std::uint8_t largest = 0;
  const std::size_t half = count / 2;
  for (std::size_t i = 0; i < half; ++i) {
    std::memcpy(out + 2 * i, &both[pairs[i]], 2);
    largest = std::max(largest, pairs[i]);
  }
  if (count % 2 != 0) out[2 * half] = pairs[half];
  const bool is_last_bad = count % 2 != 0 && pairs[half] >= base;
  if (largest >= base * base || is_last_bad)
    throw CorruptFrameError("a pair of bytes is too large");
}

Elements differences(const Elements& sequence, const Scratch& room) {
  with_width(sequence.dtype, [&]<typename T>() {
    T before = 0;
    for (std::size_t i = 0; i < sequence.count; ++i) {
      const T here = load<T>(sequence, i);
      store_element(room.data(), i, static_cast<T>(here - before));
      before = here;
    }
  });
  return {room.data(), sequence.count, sequence.dtype};
}

void add_up(std::uint8_t* elements, std::size_t count, DType dtype) {
  with_width(dtype, [&]<typename T>() {
    T sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
      sum = static_cast<T>(sum + load<T>({elements, count, dtype}, i));
      store_element(elements, i, sum);
    }
  });
}

}  // namespace gradwire
