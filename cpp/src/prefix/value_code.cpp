#include "prefix/value_code.hpp"

#include "base/narrow.hpp"
#include "base/scratch.hpp"
#include "gradwire/error.hpp"
#include "prefix/code_lengths.hpp"
#include "prefix/exception_list.hpp"
#include "prefix/key_index.hpp"
#include "prefix/streams.hpp"

namespace gradwire {
namespace {

/// Whether the lowest byte tells the symbols apart, so that the kernels for bytes can code them.
bool is_narrow(const CodeBook& book) {
  return KeyRange{book.symbols.front().key, book.symbols.back().key}.fits_a_byte();
}

std::vector<std::uint8_t> low_bytes(const CodeBook& book, DType dtype) {
  std::vector<std::uint8_t> bytes;
  for (const Symbol& symbol : book.symbols) {
    bytes.push_back(static_cast<std::uint8_t>(from_key(symbol.key, dtype)));
  }
  return bytes;
}

class ValueEncoder final : public Encoder {
 public:
  ValueEncoder(const ChunkedArray& array, CodeBook book, Exceptions exceptions,
               std::span<const std::uint64_t> weights, Layouts layouts)
      : book_(std::move(book)),
        book_bytes_(write_code_book(book_, array.elements.dtype, Runs::kNone)),
        code_(book_.lengths, PrefixCode::kNeverRead) {
    const DType dtype = array.elements.dtype;
    if (is_narrow(book_)) {
      bytes_.emplace(code_, low_bytes(book_, dtype), weights, array.elements.count, layouts);
    } else {
      index_ = KeyIndex(book_.symbols);
    }
    if (exceptions == Exceptions::kListed) known_.emplace(book_.symbols, dtype);
  }

  std::span<const std::uint8_t> code_book() const override { return book_bytes_; }
  Layout layout() const override { return bytes_ ? bytes_->layout() : Layout::kClassic; }

  EncodedChunk encode(const Elements& chunk, std::span<std::uint8_t> out) const override {
    if (!known_) return encode_values(chunk, out);
    std::uint64_t list_bits = 0;
    const std::vector<std::uint8_t> list = ExceptionList::find(chunk, *known_).bytes(list_bits);
    return encode_after_prefix(list, list_bits, out, [&](std::span<std::uint8_t> rest) {
      return encode_values(chunk, rest);
    });
  }

 private:
  EncodedChunk encode_values(const Elements& chunk, std::span<std::uint8_t> out) const {
    if (!bytes_) {
      return write_streams(chunk.count, out,
                           [&](std::size_t begin, std::size_t end, std::span<std::uint8_t> room) {
                             return encode_wide(chunk.slice(begin, end), room);
                           });
    }
    if (chunk.width() == 1) return bytes_->encode({chunk.data, chunk.count}, out);
    const Scratch bytes(chunk.count);
    kernels().bytes.narrow(chunk.data, chunk.count, chunk.width(), 0, bytes.data());
    return bytes_->encode({bytes.data(), chunk.count}, out);
  }

  /// Writes the code words that fit into `out`; returns the number of bits of all of them.
  std::uint64_t encode_wide(const Elements& part, std::span<std::uint8_t> out) const {
    BitWriter writer(out);
    with_width(part.dtype, [&]<typename T>() {
      for_each_run<T>(part, [&](std::size_t first, std::uint64_t run) {
        const std::uint32_t found = index_.find(to_key(load<T>(part, first), part.dtype));
        const std::size_t symbol = found == KeyIndex::kNone ? 0 : found;
        code_.write(writer, symbol);
        if (run > 1) writer.put_copies(code_.word(symbol), code_.length(symbol), run - 1);
      });
    });
    writer.finish();
    return writer.bit_count();
  }

  CodeBook book_;
  std::vector<std::uint8_t> book_bytes_;
  PrefixCode code_;
  std::optional<ByteEncoder> bytes_;  // for narrow books
  KeyIndex index_;                    // for wide books
  std::optional<KnownValues> known_;  // if there may be exceptions
};

class ValueDecoder final : public Decoder {
 public:
  ValueDecoder(std::span<const std::uint8_t> code_book, const CodedArray& array,
               Exceptions exceptions)
      : dtype_(array.dtype),
        exceptions_(exceptions),
        book_(read_code_book(code_book, dtype_, Runs::kNone)),
        code_(book_.lengths, array.count) {
    if (book_.has_escape) throw CorruptFrameError("a code book of values must not have an escape");
    if (is_narrow(book_)) {
      bytes_.emplace(code_, low_bytes(book_, dtype_), array.layout, array.count);
      return;
    }
    if (array.layout == Layout::kPivot) {
      throw CorruptFrameError(
          "a code book whose values lie more than 255 apart does not fit the pivot layout");
    }
    const std::size_t width = item_size(dtype_);
    values_.resize(book_.symbols.size() * width);
    for (std::size_t i = 0; i < book_.symbols.size(); ++i) {
      const std::uint64_t bits = from_key(book_.symbols[i].key, dtype_);
      std::memcpy(&values_[i * width], &bits, width);
    }
  }

  void decode(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
              std::uint8_t* out, std::size_t count) const override {
    if (exceptions_ == Exceptions::kNone) {
      decode_values(payload, readable_end, out, count);
      return;
    }
    ByteReader reader(payload);
    const ExceptionList list = ExceptionList::take(reader, dtype_, count);
    decode_values(payload.last(reader.left()), readable_end, out, count);
    list.apply(out);
  }

 private:
  void decode_values(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
                     std::uint8_t* out, std::size_t count) const {
    if (!bytes_) {
      const auto parts = read_streams(payload, count);
      with_width(dtype_, [&]<typename T>() { decode_wide<T>(parts, out, count); });
    } else if (item_size(dtype_) == 1) {
      bytes_->decode(payload, readable_end, out, count);
    } else {
      const Scratch bytes(count);
      bytes_->decode(payload, readable_end, bytes.data(), count);
      widen(bytes.data(), count, book_.symbols.front().key, dtype_, out);
    }
  }

  /// Reads one code word of each stream in turn, so that none waits for the one before it.
  template <typename T>
  void decode_wide(std::span<const std::span<const std::uint8_t>> parts, std::uint8_t* out,
                   std::size_t count) const {
    std::vector<BitReader> readers(parts.begin(), parts.end());
    const auto read = [&](std::size_t s, std::size_t i) {
      const std::size_t symbol = code_.read(readers[s]);
      std::memcpy(out + i * sizeof(T), &values_[symbol * sizeof(T)], sizeof(T));
    };
    const auto size = [&](std::size_t s) {
      return stream_begin(count, s + 1) - stream_begin(count, s);
    };
    const std::size_t shared =
        parts.size() == kMaxStreams ? std::min(size(0), size(kMaxStreams - 1)) : 0;
    for (std::size_t i = 0; i < shared; ++i) {
      for (std::size_t s = 0; s < kMaxStreams; ++s) read(s, stream_begin(count, s) + i);
    }
    for (std::size_t s = 0; s < parts.size(); ++s) {
      const std::size_t end = stream_begin(count, s + 1);
      for (std::size_t i = stream_begin(count, s) + shared; i < end; ++i) read(s, i);
      if (readers[s].overrun() || !readers[s].at_end()) {
        throw CorruptFrameError("the code words of a stream do not end where the stream ends");
      }
    }
  }

  DType dtype_;
  Exceptions exceptions_;
  CodeBook book_;
  PrefixCode code_;
  std::optional<ByteDecoder> bytes_;  // for narrow books
  std::vector<std::uint8_t> values_;  // for wide books: the elements that symbols stand for
};

/// Many narrow elements are decoded by lookups of kLookupBits and gain most from short code words;
/// others gain less.
double allowance_for(std::uint64_t elements, const CodeBook& book) {
  constexpr std::uint64_t kFullTablesFrom = std::uint64_t{1} << 16;
  if (elements < kTablesFrom) return kOptimalCode;
  return elements >= kFullTablesFrom && is_narrow(book) ? kFastCode : kSmallCode;
}

}  // namespace

std::unique_ptr<Encoder> make_value_encoder(const ChunkedArray& array,
                                            std::span<const ValueCount> counts,
                                            Exceptions exceptions, Layouts layouts) {
  CodeBook book;
  std::vector<std::uint64_t> weights;
  for (const ValueCount& value : counts) {
    book.symbols.push_back({value.key, 1});
    weights.push_back(value.count);
  }
  book.lengths = code_lengths(weights, allowance_for(array.elements.count, book));
  return std::make_unique<ValueEncoder>(array, std::move(book), exceptions, weights, layouts);
}

std::unique_ptr<Decoder> make_value_decoder(std::span<const std::uint8_t> code_book,
                                            const CodedArray& array, Exceptions exceptions) {
  return std::make_unique<ValueDecoder>(code_book, array, exceptions);
}

}  // namespace gradwire
