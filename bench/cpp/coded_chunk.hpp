#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "prefix/code_lengths.hpp"
#include "prefix/prefix_code.hpp"
#include "prefix/streams.hpp"

/// A chunk of bytes, a prefix code for it, and the code words in streams (FORMAT.md, section 5.3).
struct CodedChunk {
  using Bytes = std::vector<std::uint8_t>;

  explicit CodedChunk(Bytes bytes)
      : data(std::move(bytes)), by_symbol(4 * data.size() + 64), out(data.size()) {
    std::vector<std::uint64_t> counts(256);
    for (const std::uint8_t byte : data) ++counts[byte];
    std::vector<std::uint64_t> weights;
    for (unsigned s = 0; s < 256; ++s) {
      if (counts[s] == 0) continue;
      symbols.push_back(static_cast<std::uint8_t>(s));
      weights.push_back(counts[s]);
    }
    code = std::make_unique<gradwire::PrefixCode>(
        gradwire::code_lengths(weights, gradwire::kFastCode), data.size());
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) total += weights[i] * code->length(i);
    mean_bits = static_cast<double>(total) / static_cast<double>(data.size());
    encode_table = code->byte_encode_table(symbols, data.size());
    decode_table = code->byte_decode_table(symbols);
    encode(gradwire::kernels().codes);
  }

  void encode(const gradwire::CodeKernels& kernels) {
    const std::size_t count = gradwire::stream_count(data.size());
    std::uint8_t* next = by_symbol.data();
    for (std::size_t s = 0; s < count; ++s) {
      const std::size_t begin = gradwire::stream_begin(data.size(), s);
      const std::size_t end = gradwire::stream_begin(data.size(), s + 1);
      const std::size_t bits =
          kernels.encode_bytes(encode_table.get(), data.data() + begin, end - begin, next,
                               by_symbol.data() + by_symbol.size());
      streams[s] = {next, next + (bits + 7) / 8, out.data() + begin, out.data() + end};
      next += (bits + 7) / 8;
    }
  }

  bool decode(const gradwire::CodeKernels& kernels) {
    return kernels.decode_bytes(decode_table.get(), streams, gradwire::stream_count(data.size()),
                                by_symbol.data() + by_symbol.size());
  }

  Bytes data;
  Bytes symbols;
  std::unique_ptr<gradwire::PrefixCode> code;
  double mean_bits;
  std::unique_ptr<gradwire::OwnedEncodeTable> encode_table;
  std::unique_ptr<gradwire::ByteDecodeTable> decode_table;
  Bytes by_symbol;
  Bytes out;
  gradwire::DecodeStream streams[gradwire::kMaxStreams];
};
