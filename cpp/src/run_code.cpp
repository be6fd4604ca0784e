#include "run_code.hpp"

#include <algorithm>

#include "gradwire/error.hpp"
#include "omega.hpp"
#include "run_fill.hpp"

namespace gradwire {
namespace {

class PairDecoder final : public Decoder {
 public:
  PairDecoder(std::span<const std::uint8_t> code_book, DType dtype)
      : dtype_(dtype),
        book_(read_code_book(code_book, dtype, Runs::kListed)),
        code_(book_.lengths, PrefixCode::Use::kDecode) {
    for (Symbol& symbol : book_.symbols) symbol.key = from_key(symbol.key, dtype);
  }

  void decode(std::span<const std::uint8_t> payload, const std::uint8_t*, std::uint8_t* out,
              std::size_t count) const override {
    with_width(dtype_, [&]<typename T>() {
      BitReader reader(payload);
      RunFill<T> fill(out, count);
      while (!fill.done()) {
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
  DType dtype_;
  CodeBook book_;  // its keys turned back into the elements' bits
  PrefixCode code_;
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
  return std::make_unique<PairDecoder>(code_book, array.dtype);
}

}  // namespace gradwire
