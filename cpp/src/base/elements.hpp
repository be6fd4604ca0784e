#pragma once

#include <cstdint>
#include <cstring>
#include <utility>

#include "gradwire/array.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {

/// A contiguous range of an array's elements.
struct Elements {
  const std::uint8_t* data;
  std::size_t count;
  DType dtype;

  std::size_t width() const { return item_size(dtype); }
  std::size_t nbytes() const { return count * width(); }
  Elements slice(std::size_t begin, std::size_t end) const {
    return {data + begin * width(), end - begin, dtype};
  }
};

/// Whether all bytes are 0 or 1, as the elements of a bool array are.
inline bool are_bools(const std::uint8_t* bytes, std::size_t count) {
  std::uint8_t any = 0;
  for (std::size_t i = 0; i < count; ++i) any |= bytes[i];
  return any <= 1;
}

/// Calls f.template operator()<T>() with the unsigned type T that is as wide as an element.
template <typename F>
decltype(auto) with_width(DType dtype, F&& f) {
  switch (item_size(dtype)) {
    case 1: return f.template operator()<std::uint8_t>();
    case 2: return f.template operator()<std::uint16_t>();
    case 4: return f.template operator()<std::uint32_t>();
    default: return f.template operator()<std::uint64_t>();
  }
}

/// The bits of element i as an unsigned number.
template <typename T>
T load(const Elements& elements, std::size_t i) {
  T bits;
  std::memcpy(&bits, elements.data + i * sizeof(T), sizeof(T));
  return bits;
}

constexpr unsigned bits_of(DType dtype) { return static_cast<unsigned>(8 * item_size(dtype)); }

/// An element's bits as a number whose unsigned order is the order of the values: for signed
/// types the sign bit is flipped. It fits into bits_of(dtype) bits.
constexpr std::uint64_t to_key(std::uint64_t bits, DType dtype) {
  return is_signed(dtype) ? bits ^ std::uint64_t{1} << (bits_of(dtype) - 1) : bits;
}
constexpr std::uint64_t from_key(std::uint64_t key, DType dtype) { return to_key(key, dtype); }

constexpr std::uint64_t largest_key(DType dtype) {
  return dtype == DType::kBool ? 1 : ~std::uint64_t{0} >> (64 - bits_of(dtype));
}

/// Copies the sign bit of a signed type's element into all higher bits.
constexpr std::uint64_t sign_extend(std::uint64_t bits, DType dtype) {
  if (!is_signed(dtype)) return bits;
  const unsigned unused = 64 - bits_of(dtype);
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(bits << unused) >> unused);
}

/// The end of the run of equal elements that element `i` belongs to.
inline std::size_t run_end(const Elements& elements, std::size_t i) {
  constexpr std::size_t kBlock = 4096;
  const std::size_t width = elements.width();
  const auto at = [&](std::size_t k) { return elements.data + k * width; };
  std::size_t end = i + 1;
  // All neighbors in a block are equal if it equals itself, moved by one element.
  while (elements.count - end >= kBlock && std::memcmp(at(end - 1), at(end), kBlock * width) == 0) {
    end += kBlock;
  }
  while (end < elements.count && std::memcmp(at(i), at(end), width) == 0) ++end;
  return end;
}

/// Calls run(first, length) for each maximal run of equal elements, in order. If `run` has a member
/// pair, calls run.pair(first, second, end) for two runs at once where it can. Always inline, so
/// that what `run` refers to can stay in registers.
template <typename T, typename F>
[[gnu::always_inline]] inline void for_each_run(const Elements& elements, F&& run) {
  constexpr std::size_t kWindow = 4096;
  std::uint16_t starts[kWindow + 8];
  if (elements.count == 0) return;
  const auto find = kernels().bytes.run_starts;
  std::size_t begin = 0;
  for (std::size_t base = 0; base < elements.count; base += kWindow) {
    const std::size_t size = elements.count - base < kWindow ? elements.count - base : kWindow;
    const std::size_t found = find(elements.data + base * sizeof(T), size, sizeof(T), starts);
    const bool continues = base == 0 || load<T>(elements, base) == load<T>(elements, base - 1);
    std::size_t k = continues;
    if constexpr (requires { run.pair(begin, begin, begin); }) {
      for (; k + 2 <= found; k += 2) {
        run.pair(begin, base + starts[k], base + starts[k + 1]);
        begin = base + starts[k + 1];
      }
    }
    for (; k < found; ++k) {
      run(begin, base + starts[k] - begin);
      begin = base + starts[k];
    }
  }
  run(begin, elements.count - begin);
}

}  // namespace gradwire
