#include "prefix/code_book.hpp"

#include "base/bit_io.hpp"
#include "base/elements.hpp"
#include "gradwire/error.hpp"
#include "prefix/omega.hpp"

namespace gradwire {
namespace {

constexpr unsigned kLengthBits = 5;

/// Writes ascending numbers as ranges of consecutive ones: the number of ranges, then the size of
/// each range and, between two ranges, how many numbers are left out. The caller has already
/// written the first number.
void write_ranges(BitWriter& writer, std::span<const std::uint64_t> numbers) {
  std::uint64_t ranges = 1;
  for (std::size_t i = 1; i < numbers.size(); ++i) ranges += numbers[i] != numbers[i - 1] + 1;
  write_omega(writer, ranges);
  std::size_t begin = 0;
  for (std::size_t i = 1; i <= numbers.size(); ++i) {
    if (i < numbers.size() && numbers[i] == numbers[i - 1] + 1) continue;
    if (begin > 0) write_omega(writer, numbers[begin] - numbers[begin - 1] - 1);
    write_omega(writer, i - begin);
    begin = i;
  }
}

/// Reads numbers that write_ranges wrote: at most kMaxSymbols, from `first` to at most `largest`.
std::vector<std::uint64_t> read_ranges(BitReader& reader, std::uint64_t first,
                                       std::uint64_t largest) {
  std::vector<std::uint64_t> numbers;
  std::uint64_t ranges = read_omega(reader);
  if (first > largest)
    throw CorruptFrameError("code book lists a value or run length outside its range");
  for (std::uint64_t next = first;; --ranges) {
    const std::uint64_t size = read_omega(reader);
    if (size > kMaxSymbols - numbers.size() || size - 1 > largest - next || reader.overrun()) {
      throw CorruptFrameError("code book has an invalid range of values or run lengths");
    }
    for (std::uint64_t i = 0; i < size; ++i) numbers.push_back(next + i);
    if (ranges == 1) return numbers;
    const std::uint64_t gap = read_omega(reader);
    const std::uint64_t end = next + (size - 1);
    if (end == largest || gap > largest - end - 1) {
      throw CorruptFrameError("code book lists a value or run length outside its range");
    }
    next = end + gap + 1;
  }
}

/// Writes the lengths run-length coded: the first length and its repeats, then the difference to
/// the next length and its repeats, and so on.
void write_lengths(BitWriter& writer, std::span<const std::uint8_t> lengths) {
  for (std::size_t begin = 0; begin < lengths.size();) {
    std::size_t end = begin + 1;
    while (end < lengths.size() && lengths[end] == lengths[begin]) ++end;
    if (begin == 0) {
      writer.put(lengths[0], kLengthBits);
    } else {
      const int difference = lengths[begin] - lengths[begin - 1];
      write_omega(writer, static_cast<std::uint64_t>(difference > 0 ? 2 * difference - 1
                                                                    : -2 * difference));
    }
    write_omega(writer, end - begin);
    begin = end;
  }
}

std::vector<std::uint8_t> read_lengths(BitReader& reader, std::size_t count) {
  std::vector<std::uint8_t> lengths;
  lengths.reserve(count);
  std::int64_t length = static_cast<std::int64_t>(reader.get(kLengthBits));
  while (true) {
    const std::uint64_t repeats = read_omega(reader);
    if (repeats > count - lengths.size() || reader.overrun()) {
      throw CorruptFrameError("code book has more code lengths than symbols");
    }
    lengths.insert(lengths.end(), repeats, static_cast<std::uint8_t>(length));
    if (lengths.size() == count) return lengths;
    const std::uint64_t step = read_omega(reader);
    if (step > 64)
      throw CorruptFrameError("code book has an invalid code length; 0 to 24 bits are allowed");
    length +=
        step & 1 ? static_cast<std::int64_t>(step / 2 + 1) : -static_cast<std::int64_t>(step / 2);
    if (length < 0 || length > 31)
      throw CorruptFrameError("code book has an invalid code length; 0 to 24 bits are allowed");
  }
}

}  // namespace

std::vector<std::uint8_t> write_code_book(const CodeBook& book, DType dtype, Runs runs) {
  // 40 bytes per symbol are enough: a key and a run of up to about 80 bits each, and a few small
  // numbers.
  std::vector<std::uint8_t> bytes(64 + book.lengths.size() * 40);
  BitWriter writer(bytes);
  std::vector<std::uint64_t> keys;
  keys.reserve(book.symbols.size());
  for (const Symbol& symbol : book.symbols) {
    if (keys.empty() || keys.back() != symbol.key) keys.push_back(symbol.key);
  }
  writer.put(book.has_escape, 1);
  writer.put(!keys.empty(), 1);
  if (!keys.empty()) {
    writer.put_wide(keys[0], bits_of(dtype));
    write_ranges(writer, keys);
  }
  if (runs == Runs::kListed) {
    std::vector<std::uint64_t> of_key;
    of_key.reserve(book.symbols.size());
    for (std::size_t i = 0; i < book.symbols.size(); ++i) {
      of_key.push_back(book.symbols[i].run);
      if (i + 1 < book.symbols.size() && book.symbols[i + 1].key == book.symbols[i].key) continue;
      write_omega(writer, of_key[0]);
      write_ranges(writer, of_key);
      of_key.clear();
    }
  }
  write_lengths(writer, book.lengths);
  bytes.resize(writer.finish());
  return bytes;
}

CodeBook read_code_book(std::span<const std::uint8_t> bytes, DType dtype, Runs runs) {
  BitReader reader(bytes);
  CodeBook book;
  book.has_escape = reader.get(1);
  std::vector<std::uint64_t> keys;
  if (reader.get(1)) keys = read_ranges(reader, reader.get(bits_of(dtype)), largest_key(dtype));
  for (const std::uint64_t key : keys) {
    if (runs == Runs::kNone) {
      book.symbols.push_back({key, 1});
      continue;
    }
    const std::uint64_t first = read_omega(reader);
    for (const std::uint64_t run : read_ranges(reader, first, ~std::uint64_t{0})) {
      book.symbols.push_back({key, run});
    }
    if (book.symbols.size() > kMaxSymbols)
      throw CorruptFrameError("code book lists more than 65536 symbols");
  }
  const std::size_t code_words = book.symbols.size() + book.has_escape;
  if (code_words == 0) throw CorruptFrameError("code book is empty");
  book.lengths = read_lengths(reader, code_words);
  if (!reader.at_end()) throw CorruptFrameError("code book does not match its declared size");
  return book;
}

}  // namespace gradwire
