#include "run_code.hpp"

#include <algorithm>

#include "code_lengths.hpp"
#include "gradwire/error.hpp"
#include "omega.hpp"
#include "run_fill.hpp"

namespace gradwire {
namespace {

/// One or two short runs, by the next bits.
struct ShortRuns {
  std::uint16_t symbol[2];
  std::uint16_t bits;  // of their code words; 0: a longer code word or run, or the escape
};
constexpr unsigned kLookBits = 12;
constexpr std::size_t kLooks = std::size_t{1} << kLookBits;
constexpr std::uint64_t kLooksFrom = std::uint64_t{1} << 14;  // elements that repay the table

class PairDecoder final : public Decoder {
 public:
  PairDecoder(std::span<const std::uint8_t> code_book, const CodedArray& array)
      : dtype_(array.dtype),
        book_(read_code_book(code_book, dtype_, Runs::kListed)),
        code_(book_.lengths, PrefixCode::Use::kDecode) {
    for (Symbol& symbol : book_.symbols) symbol.key = from_key(symbol.key, dtype_);
    if (array.count >= kLooksFrom && code_.max_length() > 0) make_looks();
  }

  void decode(std::span<const std::uint8_t> payload, const std::uint8_t*, std::uint8_t* out,
              std::size_t count) const override {
    with_width(dtype_, [&]<typename T>() {
      BitReader reader(payload);
      RunFill<T> fill(out, count);
      while (!fill.done()) {
        if (!looks_.empty()) fill_short_runs<T>(reader, fill);
        const std::uint32_t index = code_.read(reader);
        if (index < book_.symbols.size()) {
          const Symbol& symbol = book_.symbols[index];
          fill.put(static_cast<T>(symbol.key), symbol.run);
        } else {
          const T bits = static_cast<T>(reader.get(8 * sizeof(T)));
          fill.put(bits, read_omega(reader));
        }
        if (reader.overrun()) break;
      }
      fill.finish(reader);
    });
  }

 private:
  void make_looks() {
    const std::size_t none = book_.symbols.size();
    const std::uint64_t longest = RunFill<std::uint8_t>::kShort / item_size(dtype_);
    if (none >= std::size_t{1} << 16) return;
    const auto look = [&](std::uint64_t bits, unsigned available, ShortRuns& runs) {
      BitReader reader({reinterpret_cast<const std::uint8_t*>(&bits), sizeof(bits)});
      const std::uint32_t index = code_.read(reader);
      const unsigned length = index < none ? code_.length(index) : available + 1;
      if (length > available || book_.symbols[index].run > longest)
        return static_cast<std::uint16_t>(none);
      runs.bits = static_cast<std::uint16_t>(runs.bits + length);
      return static_cast<std::uint16_t>(index);
    };
    looks_.resize(kLooks);
    for (std::uint64_t bits = 0; bits < kLooks; ++bits) {
      ShortRuns& runs = looks_[bits];
      runs = {{static_cast<std::uint16_t>(none), static_cast<std::uint16_t>(none)}, 0};
      runs.symbol[0] = look(bits, kLookBits, runs);
      if (runs.bits > 0) runs.symbol[1] = look(bits >> runs.bits, kLookBits - runs.bits, runs);
    }
    short_ = book_.symbols;
    short_.push_back({0, 0});  // no run
  }

  /// Decodes as long as runs and code words are short, and the end is far.
  template <typename T>
  void fill_short_runs(BitReader& shared, RunFill<T>& fill) const {
    constexpr unsigned kLooksPerPeek = 4;  // of 12 bits, out of the 56 that peek() shows
    BitReader reader = shared;
    unsigned bits = 1;
    while (bits != 0 && fill.left() >= 2 * kLooksPerPeek * RunFill<T>::kShort &&
           !reader.overrun()) {
      std::uint64_t window = reader.peek();
      unsigned used = 0;
      for (unsigned k = 0; k < kLooksPerPeek; ++k) {
        const ShortRuns& runs = looks_[window & (kLooks - 1)];
        bits = runs.bits;
        if (bits == 0) break;
        const Symbol& first = short_[runs.symbol[0]];
        const Symbol& second = short_[runs.symbol[1]];
        fill.put_short(static_cast<T>(first.key), static_cast<std::size_t>(first.run));
        fill.put_short(static_cast<T>(second.key), static_cast<std::size_t>(second.run));
        window >>= bits;
        used += bits;
      }
      reader.skip(used);
    }
    shared = reader;
  }

  DType dtype_;
  CodeBook book_;  // its keys turned back into the elements' bits
  PrefixCode code_;
  std::vector<ShortRuns> looks_;
  std::vector<Symbol> short_;  // the symbols, and behind them one for no run
};

}  // namespace

PairWriter::PairWriter(std::vector<Symbol> symbols, std::vector<std::uint64_t> weights,
                       std::uint64_t escape_weight, DType dtype, bool narrow)
    : dtype_(dtype), escape_(symbols.size()) {
  CodeBook book;
  book.has_escape = escape_weight > 0;
  if (book.has_escape) weights.push_back(escape_weight);
  book.lengths = code_lengths(weights, Lengths::kOptimal);
  code_ = std::make_unique<PrefixCode>(book.lengths, PrefixCode::Use::kEncode);
  if (narrow) {
    make_rows(symbols);
  } else {
    index_.reserve(symbols.size());
  }
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    const auto [key, run] = symbols[i];
    if (run < direct_runs_) {
      const std::size_t row = row_of_[from_key(key, dtype) & 255];
      direct_[row * direct_runs_ + run] = code_->word(i) << 8 | code_->length(i);
    } else {
      index_[symbols[i]] = i;
    }
  }
  book.symbols = std::move(symbols);
  book_bytes_ = write_code_book(book, dtype, Runs::kListed);
}

void PairWriter::make_rows(std::span<const Symbol> symbols) {
  constexpr std::uint64_t kMostRuns = 256;
  std::uint16_t rows = 1;  // row 0 is that of the other values
  for (const Symbol& symbol : symbols) {
    direct_runs_ = std::max(direct_runs_, std::min(symbol.run + 1, kMostRuns));
    std::uint16_t& row = row_of_[from_key(symbol.key, dtype_) & 255];
    if (row == 0) row = rows++;
  }
  direct_.assign(rows * direct_runs_, kNone);
}

BitWriter PairWriter::write_rare(BitWriter writer, std::uint64_t bits, std::uint64_t run) const {
  const std::uint64_t* symbol = index_.find({to_key(bits, dtype_), run});
  if (symbol != nullptr) {
    code_->write(writer, *symbol);
    return writer;
  }
  if (escape_ == code_->size()) {  // only if another thread has changed the array meanwhile
    code_->write(writer, 0);
    return writer;
  }
  code_->write(writer, escape_);
  writer.put_wide(bits, bits_of(dtype_));
  write_omega(writer, run);
  return writer;
}

std::unique_ptr<Decoder> make_pair_decoder(std::span<const std::uint8_t> code_book,
                                           const CodedArray& array) {
  return std::make_unique<PairDecoder>(code_book, array);
}

}  // namespace gradwire
