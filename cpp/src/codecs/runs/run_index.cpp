#include "codecs/runs/run_index.hpp"

#include <algorithm>
#include <bit>
#include <utility>

namespace gradwire {

RunIndex::RunIndex(std::span<const Symbol> symbols, std::uint64_t max_run, DType dtype,
                   KeyRange range)
    : max_run_(max_run), dtype_(dtype), range_(range) {
  if (range.fits_a_byte()) {
    make_direct(symbols);
  } else {
    single_ = KeyIndex(symbols);
  }
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    const bool is_found = direct_runs_ > 0 ? symbols[i].run < direct_runs_ : symbols[i].run == 1;
    if (!is_found) numbers_[symbols[i]] = i;
  }
}

std::uint32_t RunIndex::find_whole(std::uint64_t bits, std::uint64_t run) const {
  if (run > longest(bits, run)) return KeyIndex::kNone;
  return find(bits, run).value_or(KeyIndex::kNone);
}

void RunIndex::make_direct(std::span<const Symbol> symbols) {
  constexpr std::uint64_t kMostRuns = 256;
  if (max_run_ > 0) direct_runs_ = kMostCopies + 1;
  std::array<bool, 256> used{};
  unsigned values = 0;
  for (const Symbol& symbol : symbols) {
    direct_runs_ = std::max(direct_runs_, std::min(symbol.run + 1, kMostRuns));
    const std::uint64_t byte = from_key(symbol.key, dtype_) & 255;
    if (std::exchange(used[byte], true)) continue;
    column_of_[byte] = static_cast<std::uint8_t>(++values);  // 0: other values, or the 256th
  }
  column_bits_ = static_cast<unsigned>(std::bit_width(std::min(values, 255u)));
  direct_.resize(static_cast<std::size_t>(direct_runs_ << column_bits_));
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    const std::uint64_t bits = from_key(symbols[i].key, dtype_);
    const std::uint32_t entry = static_cast<std::uint32_t>(i) << 8;
    const auto put = [&](std::uint64_t run, std::uint32_t copies) {
      direct_[run << column_bits_ | column_of_[bits & 255]] = entry | copies;
    };
    if (symbols[i].run < direct_runs_) put(symbols[i].run, 1);
    const bool one_by_one = max_run_ > 0 && bits != 0;
    for (unsigned copies = 1; one_by_one && copies <= kMostCopies; ++copies) put(copies, copies);
  }
}

}  // namespace gradwire
