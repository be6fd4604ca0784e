#include "codecs/entropy/bins.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/bit_io.hpp"
#include "codecs/entropy/cells.hpp"
#include "gradwire/error.hpp"
#include "prefix/omega.hpp"

namespace gradwire {
namespace {

constexpr std::uint64_t kBias = std::uint64_t{1} << 63;  // turns the order of offsets into unsigned
constexpr unsigned kMostWideBits = 63;

std::uint64_t biased(std::int64_t offset) { return static_cast<std::uint64_t>(offset) ^ kBias; }
std::int64_t unbiased(std::uint64_t place) { return static_cast<std::int64_t>(place ^ kBias); }

/// Writes the distance of a place from the first place that is free.
void write_place(BitWriter& writer, std::uint64_t free, std::uint64_t place, bool is_first) {
  if (!is_first) return write_omega(writer, place - free + 1);
  const std::int64_t offset = unbiased(place);
  const std::uint64_t magnitude = static_cast<std::uint64_t>(offset < 0 ? ~offset : offset);
  writer.put(offset < 0, 1);
  write_omega(writer, magnitude + 1);
}

void append(Intervals& intervals, std::int64_t first, std::int64_t last, std::uint8_t symbol) {
  intervals.first[intervals.count] = first;
  intervals.last[intervals.count] = last;
  intervals.symbol[intervals.count++] = symbol;
}

/// Distances of one sign have a symbol. Cells that have others, too, must be searched.
void fill_cells(BinFinder& finder, std::int64_t first, std::int64_t last, std::uint8_t symbol) {
  const auto [near, far] = first < 0 ? std::pair(last, first) : std::pair(first, last);
  const std::size_t begin = distance_cell(near);
  const std::size_t end = distance_cell(far) + 1;
  std::fill(finder.symbol + begin, finder.symbol + end, symbol);
  if (first_in_cell(begin) != near) finder.symbol[begin] = kSearched;
  if (last_in_cell(end - 1) != far) finder.symbol[end - 1] = kSearched;
}

/// The symbol of each element of two bytes.
std::vector<std::uint8_t> direct_symbols(const BinFinder& finder, const Bins& bins) {
  std::vector<std::uint8_t> symbols(65536, finder.escape);
  if (bins.step > 32768) return symbols;
  const auto step = static_cast<std::int64_t>(bins.step);
  for (const Intervals* const intervals : {&finder.bins, &finder.singles}) {
    for (std::size_t i = 0; i < intervals->count; ++i) {
      const std::int64_t last = std::min(intervals->last[i], 32767 / step);
      for (std::int64_t k = std::max(intervals->first[i], -32768 / step); k <= last; ++k) {
        symbols[(bins.center + static_cast<std::uint64_t>(step * k)) & 65535] =
            intervals->symbol[i];
      }
    }
  }
  return symbols;
}

[[noreturn]] void too_far() { throw CorruptFrameError("bins extend past the largest distance"); }

std::uint64_t read_place(BitReader& reader, std::uint64_t free, bool is_first) {
  if (!is_first) {
    const std::uint64_t gap = read_omega(reader) - 1;
    if (gap > ~free) too_far();
    return free + gap;
  }
  const bool is_negative = reader.get(1) != 0;
  const std::uint64_t magnitude = read_omega(reader) - 1;
  if (magnitude >= kBias) too_far();
  return biased(static_cast<std::int64_t>(is_negative ? ~magnitude : magnitude));
}

}  // namespace

void append_bins(std::vector<std::uint8_t>& out, const Bins& bins, DType dtype) {
  std::vector<std::uint8_t> coded(64 + 32 * bins.size());
  BitWriter writer(coded);
  writer.put_wide(low_bits(bins.center, bits_of(dtype)), bits_of(dtype));
  write_omega(writer, bins.step);
  writer.put(bins.has_escape, 1);
  write_omega(writer, bins.wide.size() + 1);
  std::uint64_t free = 0;
  unsigned before = 0;
  for (std::size_t i = 0; i < bins.wide.size(); ++i) {
    const auto [offset, bits] = bins.wide[i];
    write_place(writer, free, biased(offset), i == 0);
    write_omega(writer, bits >= before ? 2 * (bits - before) + 1 : 2 * (before - bits));
    free = biased(offset) + (std::uint64_t{1} << bits);
    before = bits;
  }
  write_omega(writer, bins.singles.size() + 1);
  for (std::size_t i = 0; i < bins.singles.size(); ++i) {
    write_place(writer, free, biased(bins.singles[i]), i == 0);
    free = biased(bins.singles[i]) + 1;
  }
  coded.resize(writer.finish());
  append_varint(out, coded.size());
  out.insert(out.end(), coded.begin(), coded.end());
}

Bins read_bins(ByteReader& code_book, DType dtype) {
  BitReader reader(code_book.take(code_book.varint()));
  Bins bins;
  bins.center = reader.get(bits_of(dtype));
  bins.step = read_omega(reader);
  bins.has_escape = reader.get(1) != 0;
  // A place is free if it follows a bin; none does if `is_full`.
  std::uint64_t free = 0;
  bool is_full = false;
  const auto read_count = [&] {
    const std::uint64_t count = read_omega(reader) - 1;
    is_full = false;
    if (count > kMostBins) throw CorruptFrameError("code book has more than 256 bins");
    return static_cast<std::size_t>(count);
  };
  unsigned bits = 0;
  for (std::size_t i = 0, count = read_count(); i < count; ++i) {
    if (is_full) too_far();
    const std::uint64_t place = read_place(reader, free, i == 0);
    const std::uint64_t change = read_omega(reader);
    const std::uint64_t by = change / 2;
    if (by > kMostWideBits || (change % 2 == 0 && by > bits)) too_far();
    bits = static_cast<unsigned>(change % 2 == 0 ? bits - by : bits + by);
    if (bits > kMostWideBits || (std::uint64_t{1} << bits) - 1 > ~place) too_far();
    bins.wide.push_back({unbiased(place), static_cast<std::uint8_t>(bits)});
    free = place + (std::uint64_t{1} << bits);
    is_full = free == 0;
    if (reader.overrun()) too_far();
  }
  for (std::size_t i = 0, count = read_count(); i < count; ++i) {
    if (is_full) too_far();
    const std::uint64_t place = read_place(reader, free, i == 0);
    bins.singles.push_back(unbiased(place));
    free = place + 1;
    is_full = free == 0;
    if (reader.overrun()) too_far();
  }
  if (!reader.at_end()) throw CorruptFrameError("bins do not match their declared size");
  if (bins.size() == 0 || bins.size() > kMostBins)
    throw CorruptFrameError("code book has an invalid number of bins; 1 to 256 are allowed");
  return bins;
}

BinTable bin_table(const Bins& bins, DType dtype) {
  BinTable table{};
  std::size_t s = 0;
  const auto add = [&](std::uint64_t low, std::uint64_t step, unsigned bits) {
    table.low[s] = low;
    table.step[s] = step;
    table.bits[s] = static_cast<std::uint8_t>(bits);
    table.most_bits = std::max(table.most_bits, bits);
    ++s;
  };
  const auto low_of = [&](std::int64_t offset) {
    return bins.center + bins.step * static_cast<std::uint64_t>(offset);
  };
  for (const Bin& bin : bins.wide) add(low_of(bin.offset), bins.step, bin.bits);
  for (const std::int64_t offset : bins.singles) add(low_of(offset), bins.step, 0);
  if (bins.has_escape) add(0, 1, bits_of(dtype));
  table.has_steps = bins.step != 1;
  return table;
}

OwnedBinFinder bin_finder(const Bins& bins, DType dtype, std::uint64_t elements) {
  constexpr std::uint64_t kDirectFrom = 16384;
  const auto is_wider = [&](const Bin& bin) { return bin.bits > bits_of(dtype); };
  if (bins.size() >= kMostBins || std::ranges::any_of(bins.wide, is_wider)) {
    throw CorruptFrameError("bins are not in the form that gradwire writes");
  }
  OwnedBinFinder finder{};
  finder.center = bins.center;
  finder.shift = static_cast<unsigned>(std::countr_zero(bins.step));
  const std::uint64_t odd = bins.step >> finder.shift;
  finder.inverse = odd;  // each round doubles the number of correct bits, of which there are 3
  for (int round = 0; round < 5; ++round) finder.inverse *= 2 - odd * finder.inverse;
  finder.limit = (kBias - 1) / odd;
  finder.has_escape = bins.has_escape;
  finder.escape = static_cast<std::uint8_t>(bins.size() - 1);
  std::fill_n(finder.symbol, kCells, finder.escape);
  for (const auto& [offset, bits] : bins.wide) {
    const std::int64_t last = unbiased(biased(offset) + ((std::uint64_t{1} << bits) - 1));
    const auto symbol = static_cast<std::uint8_t>(finder.bins.count);
    append(finder.bins, offset, last, symbol);
    finder.low[symbol] = offset;
    if ((offset < 0) == (last < 0)) {
      fill_cells(finder, offset, last, symbol);
    } else {
      fill_cells(finder, offset, -1, symbol);
      fill_cells(finder, 0, last, symbol);
    }
  }
  for (const std::int64_t single : bins.singles) {
    const std::size_t symbol = bins.wide.size() + finder.singles.count;
    append(finder.singles, single, single, static_cast<std::uint8_t>(symbol));
    finder.low[symbol] = single;
    finder.symbol[distance_cell(single)] = kSearched;
  }
  if (item_size(dtype) == 2 && elements >= kDirectFrom) {
    finder.symbols = direct_symbols(finder, bins);
    finder.direct = finder.symbols.data();
  }
  return finder;
}

}  // namespace gradwire
