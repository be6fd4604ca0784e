#include "codecs/runs/run_code.hpp"

#include <cstring>
#include <memory>
#include <numeric>

#include "base/byte_io.hpp"
#include "base/scratch.hpp"
#include "codecs/runs/run_fill.hpp"
#include "codecs/runs/run_index.hpp"
#include "gradwire/error.hpp"
#include "prefix/byte_code.hpp"
#include "prefix/code_lengths.hpp"
#include "prefix/omega.hpp"

namespace gradwire {
namespace {

std::vector<std::uint8_t> token_numbers(std::size_t count) {
  std::vector<std::uint8_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), std::uint8_t{0});
  return numbers;
}

/// A run that follows an escape: the bits of its value, and its length.
struct EscapedRun {
  std::uint64_t bits;
  std::uint64_t run;
};

void write_run(BitWriter& writer, const EscapedRun& escaped, DType dtype) {
  writer.put_wide(escaped.bits, bits_of(dtype));
  write_omega(writer, escaped.run);
}

EscapedRun read_run(BitReader& reader, DType dtype) {
  const std::uint64_t bits = reader.get(bits_of(dtype));
  return {bits, read_omega(reader)};
}

class RunEncoder final : public Encoder {
 public:
  RunEncoder(CodeBook book, const RunModel& model, DType dtype)
      : dtype_(dtype),
        escape_(book.has_escape ? book.symbols.size() : 0),
        has_escape_(book.has_escape),
        run_of_first_(book.symbols.front().run),
        book_bytes_(write_code_book(book, dtype, Runs::kListed)),
        code_(book.lengths, PrefixCode::kNeverRead),
        index_(book.symbols, model.max_run, dtype, model.range) {
    if (code_.size() > kMostRunTokens) return;
    tokens_.emplace(code_, token_numbers(code_.size()), model.weights, model.expected,
                    Layouts::kAny);
  }

  std::span<const std::uint8_t> code_book() const override { return book_bytes_; }
  Layout layout() const override { return tokens_ ? tokens_->layout() : Layout::kClassic; }

  EncodedChunk encode(const Elements& chunk, std::span<std::uint8_t> out) const override {
    return tokens_ ? encode_tokens(chunk, out) : encode_stream(chunk, out);
  }

 private:
  EncodedChunk encode_tokens(const Elements& chunk, std::span<std::uint8_t> out) const {
    if (code_.max_length() == 0 && !has_escape_) return encode_copies(chunk, out);
    const Scratch room(chunk.count + RunIndex::kMostCopies);
    std::uint8_t* const tokens = room.data();
    std::uint8_t* next = tokens;
    std::vector<EscapedRun> escaped;
    index_.for_each_symbol(
        chunk,
        [&](std::uint32_t number, std::uint32_t copies) {
          std::memset(next, static_cast<int>(number), RunIndex::kMostCopies);
          next += copies;
        },
        [&](std::uint64_t bits, std::uint64_t run) { next = put_rare(next, bits, run, escaped); });
    const std::size_t count = static_cast<std::size_t>(next - tokens);
    std::uint64_t list_bits = 0;
    std::vector<std::uint8_t> front;
    if (has_escape_) front = escape_list(escaped, list_bits);
    append_varint(front, count);
    return encode_after_prefix(front, list_bits, out, [&](std::span<std::uint8_t> rest) {
      return tokens_->encode({tokens, count}, rest);
    });
  }

  /// For a book with a single symbol, of which the chunk has nothing but copies. Their code words
  /// are empty, so that no token need be made; any bytes will do.
  EncodedChunk encode_copies(const Elements& chunk, std::span<std::uint8_t> out) const {
    const std::size_t copies = static_cast<std::size_t>(chunk.count / run_of_first_);
    std::vector<std::uint8_t> front;
    append_varint(front, copies);
    return encode_after_prefix(front, 0, out, [&](std::span<std::uint8_t> rest) {
      return tokens_->encode({chunk.data, copies}, rest);
    });
  }

  // The functions below take places and writers by value and return them; see omega.hpp.

  [[gnu::noinline]] std::uint8_t* put_rare(std::uint8_t* next, std::uint64_t bits,
                                           std::uint64_t run,
                                           std::vector<EscapedRun>& escaped) const {
    index_.cut(
        bits, run, [&](std::uint32_t number) { *next++ = static_cast<std::uint8_t>(number); },
        [&](std::uint64_t part) {
          *next++ = static_cast<std::uint8_t>(escape_);
          escaped.push_back({bits, part});
        });
    return next;
  }

  [[gnu::noinline]] BitWriter write_rare(BitWriter writer, std::uint64_t bits,
                                         std::uint64_t run) const {
    index_.cut(
        bits, run, [&](std::uint32_t number) { code_.write(writer, number); },
        [&](std::uint64_t part) {
          code_.write(writer, escape_);
          if (has_escape_) write_run(writer, {bits, part}, dtype_);
        });
    return writer;
  }

  std::vector<std::uint8_t> escape_list(const std::vector<EscapedRun>& escaped,
                                        std::uint64_t& bits) const {
    constexpr std::size_t kMostBytes = 32;  // for a value and an Elias-omega number
    std::vector<std::uint8_t> list(escaped.size() * kMostBytes);
    BitWriter writer(list);
    for (const EscapedRun& run : escaped) write_run(writer, run, dtype_);
    list.resize(writer.finish());
    bits += writer.bit_count();
    std::vector<std::uint8_t> sized;
    append_varint(sized, list.size());
    sized.insert(sized.end(), list.begin(), list.end());
    return sized;
  }

  EncodedChunk encode_stream(const Elements& chunk, std::span<std::uint8_t> out) const {
    BitWriter writer(out);
    index_.for_each_symbol(
        chunk,
        [&](std::uint32_t number, std::uint32_t copies) {
          for (; copies > 0; --copies) code_.write(writer, number);
        },
        [&](std::uint64_t bits, std::uint64_t run) { writer = write_rare(writer, bits, run); });
    const std::size_t size = writer.finish();
    return {writer.ok() ? std::optional(size) : std::nullopt, writer.bit_count()};
  }

  DType dtype_;
  // Without an escape, runs without a code word occur only if another thread has changed the array
  // in the meantime; they get an arbitrary code word.
  std::size_t escape_;
  bool has_escape_;
  std::uint64_t run_of_first_;
  std::vector<std::uint8_t> book_bytes_;
  PrefixCode code_;
  RunIndex index_;
  std::optional<ByteEncoder> tokens_;  // for small books
};

class RunDecoder final : public Decoder {
 public:
  RunDecoder(std::span<const std::uint8_t> code_book, const CodedArray& array)
      : dtype_(array.dtype),
        book_(read_code_book(code_book, dtype_, Runs::kListed)),
        code_(book_.lengths, array.count) {
    for (Symbol& symbol : book_.symbols) symbol.key = from_key(symbol.key, dtype_);
    book_.symbols.push_back({0, 0});  // the escape, or an entry that is never used
    if (code_.size() <= kMostRunTokens) {
      tokens_.emplace(code_, token_numbers(code_.size()), array.layout, array.count);
    } else if (array.layout == Layout::kPivot) {
      throw CorruptFrameError(
          "a code book of more than 256 code words does not fit the pivot layout");
    }
  }

  void decode(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
              std::uint8_t* out, std::size_t count) const override {
    with_width(dtype_, [&]<typename T>() {
      if (tokens_) {
        decode_tokens<T>(payload, readable_end, out, count);
      } else {
        decode_stream<T>(payload, out, count);
      }
    });
  }

 private:
  template <typename T>
  void decode_tokens(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
                     std::uint8_t* out, std::size_t count) const {
    ByteReader reader(payload);
    BitReader escaped(book_.has_escape ? reader.take(reader.varint())
                                       : std::span<const std::uint8_t>{});
    const std::uint64_t size = reader.varint();
    if (size > count) throw CorruptFrameError("a chunk has more tokens than elements");
    const std::size_t token_count = static_cast<std::size_t>(size);
    const Scratch room(token_count);
    std::uint8_t* const tokens = room.data();
    tokens_->decode(reader.take(reader.left()), readable_end, tokens, token_count);
    RunFill<T> fill(out, count);
    const Symbol& first = book_.symbols.front();
    if (code_.size() == 1 && first.run > 0 && token_count == count / first.run) {
      fill.put(static_cast<T>(first.key), token_count * first.run);
      return fill.finish(escaped);
    }
    for (std::size_t i = 0; i < token_count; ++i) {
      const Symbol& symbol = book_.symbols[tokens[i]];
      if (symbol.run - 1 < RunFill<T>::kShort && fill.left() >= RunFill<T>::kShort) {
        fill.put_short(static_cast<T>(symbol.key), static_cast<std::size_t>(symbol.run));
      } else {
        put(fill, symbol, escaped);
      }
    }
    fill.finish(escaped);
  }

  template <typename T>
  void decode_stream(std::span<const std::uint8_t> payload, std::uint8_t* out,
                     std::size_t count) const {
    BitReader reader(payload);
    RunFill<T> fill(out, count);
    while (!fill.done() && !reader.overrun()) put(fill, book_.symbols[code_.read(reader)], reader);
    fill.finish(reader);
  }

  template <typename T>
  void put(RunFill<T>& fill, const Symbol& symbol, BitReader& reader) const {
    if (symbol.run > 0) return fill.put(static_cast<T>(symbol.key), symbol.run);
    const EscapedRun escaped = read_run(reader, dtype_);
    fill.put(static_cast<T>(escaped.bits), escaped.run);
  }

  DType dtype_;
  CodeBook book_;  // keys are replaced by the elements' bits; the escape has a run of 0
  PrefixCode code_;
  std::optional<ByteDecoder> tokens_;  // for small books
};

}  // namespace

std::unique_ptr<Encoder> make_run_encoder(RunModel model, DType dtype) {
  CodeBook book;
  book.has_escape = model.escape_weight > 0;
  if (book.has_escape) model.weights.push_back(model.escape_weight);
  book.lengths = code_lengths(model.weights, kOptimalCode);
  book.symbols = std::move(model.symbols);
  return std::make_unique<RunEncoder>(std::move(book), model, dtype);
}

std::unique_ptr<Decoder> make_run_decoder(std::span<const std::uint8_t> code_book,
                                          const CodedArray& array) {
  return std::make_unique<RunDecoder>(code_book, array);
}

}  // namespace gradwire
