#include "value_code.hpp"

#include "code_lengths.hpp"
#include "exceptions.hpp"
#include "gradwire/error.hpp"
#include "narrow.hpp"
#include "pivot_code.hpp"
#include "prefix_code.hpp"
#include "run_fill.hpp"
#include "streams.hpp"
#include "symbol_map.hpp"

namespace gradwire {
namespace {

/// Arrays of so many elements repay the tables that make coding fast.
constexpr std::uint64_t kTablesFrom = std::uint64_t{1} << 14;

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

/// Room for the elements of a chunk as bytes, kept by each thread for its next chunk.
std::uint8_t* chunk_bytes(std::size_t count) {
  thread_local std::vector<std::uint8_t> own;
  if (own.size() < count) own.resize(count);
  return own.data();
}

class ValueEncoder final : public Encoder {
 public:
  ValueEncoder(const ChunkedArray& array, CodeBook book, Exceptions exceptions,
               std::span<const std::uint64_t> weights, Layouts layouts)
      : exceptions_(exceptions),
        book_(std::move(book)),
        book_bytes_(write_code_book(book_, array.elements.dtype, Runs::kNone)),
        code_(book_.lengths, PrefixCode::Use::kEncode) {
    const DType dtype = array.elements.dtype;
    if (code_.max_length() == 0) return;
    const bool is_large = array.elements.count >= kTablesFrom;
    if (is_narrow(book_) && is_large && layouts == Layouts::kAny && pivot_pays(code_, weights)) {
      pivot_.emplace(code_, low_bytes(book_, dtype));
    } else if (is_narrow(book_)) {
      table_ = code_.byte_encode_table(low_bytes(book_, dtype), is_large);
    } else {
      for (std::size_t i = 0; i < book_.symbols.size(); ++i) index_[book_.symbols[i]] = i;
    }
  }

  std::span<const std::uint8_t> code_book() const override { return book_bytes_; }
  Layout layout() const override { return pivot_ ? Layout::kPivot : Layout::kClassic; }

  EncodedChunk encode(const Elements& chunk, std::span<std::uint8_t> out) const override {
    if (exceptions_ == Exceptions::kNone) return encode_values(chunk, out);
    std::uint64_t list_bits = 0;
    const std::vector<std::uint8_t> list =
        ExceptionList::find(chunk, book_.symbols).bytes(list_bits);
    const bool fits = list.size() <= out.size();
    if (fits) std::memcpy(out.data(), list.data(), list.size());
    EncodedChunk result =
        encode_values(chunk, fits ? out.subspan(list.size()) : std::span<std::uint8_t>{});
    result.code_length += list_bits;
    result.size = fits && result.size ? std::optional(*result.size + list.size()) : std::nullopt;
    return result;
  }

 private:
  EncodedChunk encode_values(const Elements& chunk, std::span<std::uint8_t> out) const {
    const bool codes_bytes = pivot_ || table_;
    if (!codes_bytes || chunk.width() == 1) return encode_narrow(chunk, out);
    std::uint8_t* const bytes = chunk_bytes(chunk.count);
    kernels().narrow(chunk.data, chunk.count, chunk.width(), 0, bytes);
    return encode_narrow({bytes, chunk.count, DType::kUInt8}, out);
  }

  EncodedChunk encode_narrow(const Elements& chunk, std::span<std::uint8_t> out) const {
    return pivot_ ? encode_nodes(chunk, out) : encode_streams(chunk, out);
  }

  EncodedChunk encode_nodes(const Elements& chunk, std::span<std::uint8_t> out) const {
    const std::span<const std::uint8_t> bytes{chunk.data, chunk.count};
    if (const auto bits = pivot_->encode(bytes, out)) {
      return {static_cast<std::size_t>((*bits + 7) / 8), *bits};
    }
    return {std::nullopt, pivot_->code_length(bytes)};
  }

  EncodedChunk encode_streams(const Elements& chunk, std::span<std::uint8_t> out) const {
    const std::size_t streams = stream_count(chunk.count);
    std::size_t used = stream_header_bytes(chunk.count);
    EncodedChunk result{std::nullopt, 0};
    bool fits = used <= out.size();
    for (std::size_t s = 0; s < streams; ++s) {
      const Elements part =
          chunk.slice(stream_begin(chunk.count, s), stream_begin(chunk.count, s + 1));
      const std::span<std::uint8_t> room = fits ? out.subspan(used) : std::span<std::uint8_t>{};
      std::uint64_t bits = 0;
      if (code_.max_length() > 0)
        bits = table_ ? encode_bytes(part, room) : encode_wide(part, room);
      result.code_length += bits;
      const std::uint64_t size = (bits + 7) / 8;
      fits = fits && size <= room.size();
      if (!fits) continue;
      if (s + 1 < streams) {
        const std::uint32_t header = static_cast<std::uint32_t>(size);
        std::memcpy(out.data() + s * kStreamSizeBytes, &header, kStreamSizeBytes);
      }
      used += size;
    }
    if (fits) result.size = used;
    return result;
  }

  /// Writes what fits into `out`; returns the bits of all code words.
  std::uint64_t encode_bytes(const Elements& part, std::span<std::uint8_t> out) const {
    const std::size_t bits = kernels().encode_bytes(table_.get(), part.data, part.count, out.data(),
                                                    out.data() + out.size());
    if (bits != SIZE_MAX) return bits;
    BitWriter writer(out);
    for (std::size_t i = 0; i < part.count; ++i) {
      const std::uint64_t entry = table_->word[part.data[i]];
      writer.put(entry >> (64 - (entry & 63)), entry & 63);
    }
    writer.finish();
    return writer.bit_count();
  }

  std::uint64_t encode_wide(const Elements& part, std::span<std::uint8_t> out) const {
    BitWriter writer(out);
    with_width(part.dtype, [&]<typename T>() {
      for (std::size_t i = 0; i < part.count; ++i) {
        const std::uint64_t* symbol = index_.find({to_key(load<T>(part, i), part.dtype), 1});
        code_.write(writer, symbol ? *symbol : 0);
      }
    });
    writer.finish();
    return writer.bit_count();
  }

  Exceptions exceptions_;
  CodeBook book_;
  std::vector<std::uint8_t> book_bytes_;
  PrefixCode code_;
  std::optional<PivotCode> pivot_;           // of the pivot layout
  std::unique_ptr<OwnedEncodeTable> table_;  // of narrow books else
  SymbolMap index_;                          // of wide books
};

class ValueDecoder final : public Decoder {
 public:
  ValueDecoder(std::span<const std::uint8_t> code_book, const CodedArray& array,
               Exceptions exceptions)
      : dtype_(array.dtype),
        exceptions_(exceptions),
        book_(read_code_book(code_book, dtype_, Runs::kNone)),
        code_(book_.lengths, PrefixCode::Use::kDecode) {
    if (book_.has_escape) throw CorruptFrameError("a code book of values has no escape");
    const bool codes_bytes = is_narrow(book_) && code_.max_length() > 0;
    if (array.layout == Layout::kPivot) {
      if (!codes_bytes) throw CorruptFrameError("a code book does not fit the pivot layout");
      pivot_.emplace(code_, low_bytes(book_, dtype_));
    } else if (codes_bytes && array.count >= kTablesFrom) {
      table_ = code_.byte_decode_table(low_bytes(book_, dtype_));
    }
  }

  void decode(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
              std::uint8_t* out, std::size_t count) const override {
    if (exceptions_ == Exceptions::kNone) {
      decode_values(payload, readable_end, out, count);
      return;
    }
    const ExceptionList list = ExceptionList::take(payload, dtype_, count);
    decode_values(payload, readable_end, out, count);
    list.apply(out);
  }

 private:
  void decode_values(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
                     std::uint8_t* out, std::size_t count) const {
    if (!pivot_) return decode_streams(payload, readable_end, out, count);
    decode_as_bytes(out, count, [&](std::uint8_t* bytes) {
      pivot_->decode(payload, readable_end, bytes, count);
    });
  }

  /// Calls f(place for the lowest byte of each element), then widens these bytes to elements.
  template <typename F>
  void decode_as_bytes(std::uint8_t* out, std::size_t count, const F& f) const {
    if (item_size(dtype_) == 1) return f(out);
    std::uint8_t* const bytes = chunk_bytes(count);
    f(bytes);
    widen(bytes, count, book_.symbols.front().key, dtype_, out);
  }

  void decode_streams(std::span<const std::uint8_t> payload, const std::uint8_t* readable_end,
                      std::uint8_t* out, std::size_t count) const {
    const std::size_t streams = stream_count(count);
    const std::size_t header = stream_header_bytes(count);
    if (payload.size() < header) throw CorruptFrameError("a chunk is shorter than its header");
    std::span<const std::uint8_t> parts[kMaxStreams];
    std::span<const std::uint8_t> rest = payload.subspan(header);
    for (std::size_t s = 0; s < streams; ++s) {
      std::uint32_t size = static_cast<std::uint32_t>(rest.size());
      if (s + 1 < streams) {
        std::memcpy(&size, payload.data() + s * kStreamSizeBytes, kStreamSizeBytes);
      }
      if (size > rest.size()) throw CorruptFrameError("a stream passes the end of its chunk");
      parts[s] = rest.first(size);
      rest = rest.subspan(size);
    }
    if (code_.max_length() == 0) {
      decode_constant(payload, out, count);
    } else if (!table_) {
      for (std::size_t s = 0; s < streams; ++s) decode_wide(parts[s], s, out, count);
    } else {
      decode_as_bytes(out, count, [&](std::uint8_t* bytes) {
        decode_bytes(parts, readable_end, bytes, count);
      });
    }
  }

  void decode_constant(std::span<const std::uint8_t> payload, std::uint8_t* out,
                       std::size_t count) const {
    with_width(dtype_, [&]<typename T>() {
      RunFill<T> fill(out, count);
      fill.put(static_cast<T>(from_key(book_.symbols.front().key, dtype_)), count);
      BitReader no_bits(payload.subspan(stream_header_bytes(count)));
      fill.finish(no_bits);
    });
  }

  void decode_bytes(const std::span<const std::uint8_t>* parts, const std::uint8_t* readable_end,
                    std::uint8_t* out, std::size_t count) const {
    DecodeStream streams[kMaxStreams];
    for (std::size_t s = 0; s < stream_count(count); ++s) {
      streams[s] = {parts[s].data(), parts[s].data() + parts[s].size(),
                    out + stream_begin(count, s), out + stream_begin(count, s + 1)};
    }
    if (!kernels().decode_bytes(table_.get(), streams, stream_count(count), readable_end)) {
      throw CorruptFrameError("the code words of a stream do not fill it exactly");
    }
  }

  void decode_wide(std::span<const std::uint8_t> part, std::size_t stream, std::uint8_t* out,
                   std::size_t count) const {
    BitReader reader(part);
    with_width(dtype_, [&]<typename T>() {
      const std::size_t end = stream_begin(count, stream + 1);
      for (std::size_t i = stream_begin(count, stream); i < end; ++i) {
        const T bits = static_cast<T>(from_key(book_.symbols[code_.read(reader)].key, dtype_));
        std::memcpy(out + i * sizeof(T), &bits, sizeof(T));
      }
    });
    if (reader.overrun() || !reader.at_end()) {
      throw CorruptFrameError("the code words of a stream do not fill it exactly");
    }
  }

  DType dtype_;
  Exceptions exceptions_;
  CodeBook book_;
  PrefixCode code_;
  std::optional<PivotCode> pivot_;          // of the pivot layout
  std::unique_ptr<ByteDecodeTable> table_;  // of narrow books else, where it is worth making
};

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
  book.lengths = code_lengths(
      weights, array.elements.count >= kTablesFrom ? Lengths::kShort : Lengths::kOptimal);
  return std::make_unique<ValueEncoder>(array, std::move(book), exceptions, weights, layouts);
}

std::unique_ptr<Decoder> make_value_decoder(std::span<const std::uint8_t> code_book,
                                            const CodedArray& array, Exceptions exceptions) {
  return std::make_unique<ValueDecoder>(code_book, array, exceptions);
}

}  // namespace gradwire
