#include "prefix/exception_list.hpp"

#include <algorithm>

#include "base/bit_io.hpp"
#include "base/byte_io.hpp"
#include "base/byte_tables.hpp"
#include "gradwire/error.hpp"
#include "prefix/omega.hpp"
#include "prefix/value_counts.hpp"

namespace gradwire {

KnownValues::KnownValues(std::span<const Symbol> symbols, DType dtype)
    : range_{symbols.front().key, symbols.back().key}, index_(symbols) {
  std::vector<std::uint8_t> bytes;
  for (const Symbol& symbol : symbols) {
    bytes.push_back(static_cast<std::uint8_t>(from_key(symbol.key, dtype)));
  }
  bytes_ = byte_set(bytes);
}

bool KnownValues::fit_bytes(KeyRange range) const {
  return KeyRange{std::min(range.smallest, range_.smallest),
                  std::max(range.largest, range_.largest)}
      .fits_a_byte();
}

ExceptionList ExceptionList::find(const Elements& chunk, const KnownValues& known) {
  constexpr std::size_t kBlock = 8192;
  std::uint8_t narrow[kBlock];
  ExceptionList list(chunk.dtype);
  for (std::size_t begin = 0; begin < chunk.count; begin += kBlock) {
    const Elements block = chunk.slice(begin, std::min(begin + kBlock, chunk.count));
    const bool are_bytes = block.width() == 1;
    if (!are_bytes && !known.fit_bytes(key_range(block))) {
      with_width(block.dtype, [&]<typename T>() {
        for (std::size_t i = 0; i < block.count; ++i) {
          if (!known.has(to_key(load<T>(block, i), block.dtype))) list.add(chunk, begin + i);
        }
      });
      continue;
    }
    if (!are_bytes) kernels().bytes.narrow(block.data, block.count, block.width(), 0, narrow);
    const std::uint8_t* const bytes = are_bytes ? block.data : narrow;
    for (std::size_t i = 0;; ++i) {
      i += kernels().bytes.find_outside(&known.bytes(), bytes + i, block.count - i);
      if (i == block.count) break;
      list.add(chunk, begin + i);
    }
  }
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

ExceptionList ExceptionList::take(ByteReader& payload, DType dtype, std::size_t count) {
  ExceptionList list(dtype);
  const auto coded = payload.take(payload.varint());
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
    throw CorruptFrameError("the list of exceptions does not match its declared size");
  return list;
}

void ExceptionList::apply(std::uint8_t* elements) const {
  const std::size_t width = item_size(dtype_);
  for (const Item& item : items_) std::memcpy(elements + item.index * width, &item.bits, width);
}

}  // namespace gradwire
