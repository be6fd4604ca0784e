#include "exceptions.hpp"

#include <algorithm>

#include "bit_io.hpp"
#include "byte_tables.hpp"
#include "gradwire/error.hpp"
#include "omega.hpp"
#include "varint.hpp"

namespace gradwire {

ExceptionList ExceptionList::find(const Elements& chunk, std::span<const Symbol> symbols) {
  ExceptionList list(chunk.dtype);
  if (chunk.width() == 1) {
    std::vector<std::uint8_t> bytes;
    for (const Symbol& symbol : symbols) {
      bytes.push_back(static_cast<std::uint8_t>(from_key(symbol.key, chunk.dtype)));
    }
    const ByteSet set = byte_set(bytes);
    for (std::size_t i = 0;; ++i) {
      i += kernels().find_outside(&set, chunk.data + i, chunk.count - i);
      if (i == chunk.count) return list;
      list.add(chunk, i);
    }
  }
  const std::uint64_t smallest = symbols.front().key;
  const std::uint64_t largest = symbols.back().key;
  const bool contiguous = largest - smallest == symbols.size() - 1;
  with_width(chunk.dtype, [&]<typename T>() {
    const T flip = static_cast<T>(to_key(0, chunk.dtype));
    const T low = static_cast<T>(smallest);
    const T range = static_cast<T>(largest - smallest);
    if (contiguous) {
      T worst = 0;  // one pass that compilers turn into vector code settles the usual case
      for (std::size_t i = 0; i < chunk.count; ++i) {
        worst = std::max(worst, static_cast<T>((load<T>(chunk, i) ^ flip) - low));
      }
      if (worst <= range) return;
    }
    // By distance from the smallest symbol, where that has few values: whether it has no symbol.
    std::vector<std::uint8_t> missing;
    if (range < 65536) {
      missing.assign(static_cast<std::size_t>(range) + 1, 1);
      for (const Symbol& symbol : symbols) missing[symbol.key - smallest] = 0;
    }
    for (std::size_t i = 0; i < chunk.count; ++i) {
      const T bits = load<T>(chunk, i);
      const T distance = static_cast<T>((bits ^ flip) - low);
      const bool known =
          distance <= range && (missing.empty() ? std::binary_search(symbols.begin(), symbols.end(),
                                                                     Symbol{smallest + distance, 1})
                                                : !missing[distance]);
      if (!known) list.items_.push_back({i, bits});
    }
  });
  return list;
}

void ExceptionList::add(const Elements& chunk, std::uint64_t index) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, chunk.data + index * chunk.width(), chunk.width());
  items_.push_back({index, bits});
}

std::vector<std::uint8_t> ExceptionList::bytes(std::uint64_t& code_length) const {
  std::vector<std::uint8_t> coded(items_.size() * 32 + 16);
  BitWriter writer(coded);
  if (!items_.empty()) write_omega(writer, items_.size());
  std::uint64_t next = 0;
  for (const Item& item : items_) {
    write_omega(writer, item.index - next + 1);
    writer.put_wide(item.bits, bits_of(dtype_));
    next = item.index + 1;
  }
  coded.resize(writer.finish());
  code_length += writer.bit_count();
  std::vector<std::uint8_t> all;
  append_varint(all, coded.size());
  all.insert(all.end(), coded.begin(), coded.end());
  return all;
}

ExceptionList ExceptionList::take(std::span<const std::uint8_t>& payload, DType dtype,
                                  std::size_t count) {
  ExceptionList list(dtype);
  ByteReader bytes(payload);
  const auto coded = bytes.take(bytes.varint());
  payload = payload.last(bytes.left());
  if (coded.empty()) return list;
  BitReader reader(coded);
  const std::uint64_t size = read_omega(reader);
  std::uint64_t next = 0;
  for (std::uint64_t i = 0; i < size; ++i) {
    const std::uint64_t gap = read_omega(reader) - 1;
    if (reader.overrun() || next >= count || gap >= count - next) {
      throw CorruptFrameError("an exception lies outside its chunk");
    }
    list.items_.push_back({next + gap, reader.get(bits_of(dtype))});
    next += gap + 1;
  }
  if (!reader.at_end())
    throw CorruptFrameError("the exceptions of a chunk do not fill their place");
  return list;
}

void ExceptionList::apply(std::uint8_t* elements) const {
  const std::size_t width = item_size(dtype_);
  for (const Item& item : items_) std::memcpy(elements + item.index * width, &item.bits, width);
}

}  // namespace gradwire
