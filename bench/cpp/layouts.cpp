// Both layouts of the same Huffman code (FORMAT.md, section 5.3), for code words of rising lengths:
// what the choice between them, pivot_pays(), is based on.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "data.hpp"
#include "prefix/code_lengths.hpp"
#include "prefix/pivot_code.hpp"
#include "prefix/streams.hpp"

namespace {

using namespace gradwire;
using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kChunk = std::size_t{1} << 18;

/// A chunk of bytes around 0, each value less frequent than the one before by `factor`, its code,
/// and the chunk coded in both layouts.
struct Chunk {
  explicit Chunk(double factor) : data(kChunk) {
    std::mt19937 random(1);
    std::geometric_distribution<int> distance(1 - factor);
    std::vector<std::uint64_t> counts(256);
    for (auto& byte : data) {
      const int size = std::min(distance(random), 120);
      byte = static_cast<std::uint8_t>(random() % 2 == 0 ? size : -size);
      ++counts[byte];
    }
    std::vector<std::uint64_t> weights;
    for (unsigned s = 0; s < 256; ++s) {
      if (counts[s] == 0) continue;
      symbols.push_back(static_cast<std::uint8_t>(s));
      weights.push_back(counts[s]);
    }
    code = std::make_unique<PrefixCode>(code_lengths(weights, kFastCode), kChunk);
    std::uint64_t total = 0;
    for (std::size_t i = 0; i < weights.size(); ++i) total += weights[i] * code->length(i);
    mean_bits = static_cast<double>(total) / kChunk;
    pivot = std::make_unique<PivotCode>(*code, symbols);
    encode_table = code->byte_encode_table(symbols, kChunk);
    decode_table = code->byte_decode_table(symbols);
    nodes = *pivot->encode(data, by_node);
    encode_streams();
  }

  void encode_streams() {
    std::uint8_t* next = by_symbol.data();
    for (std::size_t s = 0; s < kMaxStreams; ++s) {
      const std::size_t begin = stream_begin(kChunk, s);
      const std::size_t end = stream_begin(kChunk, s + 1);
      const std::size_t bits =
          kernels().codes.encode_bytes(encode_table.get(), data.data() + begin, end - begin, next,
                                       by_symbol.data() + by_symbol.size());
      streams[s] = {next, next + (bits + 7) / 8, out.data() + begin, out.data() + end};
      next += (bits + 7) / 8;
    }
  }

  Bytes data;
  Bytes symbols;
  std::unique_ptr<PrefixCode> code;
  double mean_bits;
  std::unique_ptr<PivotCode> pivot;
  std::unique_ptr<OwnedEncodeTable> encode_table;
  std::unique_ptr<ByteDecodeTable> decode_table;
  Bytes by_node = Bytes(2 * kChunk);
  Bytes by_symbol = Bytes(2 * kChunk);
  Bytes out = Bytes(kChunk);
  std::uint64_t nodes;
  DecodeStream streams[kMaxStreams];
};

template <typename F>
void add(const Chunk& chunk, const char* what, F f) {
  char name[64];
  std::snprintf(name, sizeof(name), "layout/bits:%.2f/%s", chunk.mean_bits, what);
  benchmark::RegisterBenchmark(name, [f](benchmark::State& state) {
    for (auto _ : state) f();
    state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kChunk));
  });
}

}  // namespace

void register_layouts() {
  static std::vector<std::unique_ptr<Chunk>> chunks;
  for (const double factor : {0.05, 0.2, 0.35, 0.5, 0.6, 0.7, 0.8, 0.9}) {
    chunks.push_back(std::make_unique<Chunk>(factor));
    Chunk* const chunk = chunks.back().get();
    add(*chunk, "classic/encode", [=] { chunk->encode_streams(); });
    add(*chunk, "pivot/encode", [=] { chunk->pivot->encode(chunk->data, chunk->by_node); });
    add(*chunk, "classic/decode", [=] {
      kernels().codes.decode_bytes(chunk->decode_table.get(), chunk->streams, kMaxStreams,
                                   chunk->by_symbol.data() + chunk->by_symbol.size());
    });
    add(*chunk, "pivot/decode", [=] {
      const std::size_t size = static_cast<std::size_t>((chunk->nodes + 7) / 8);
      chunk->pivot->decode({chunk->by_node.data(), size}, chunk->by_node.data() + size,
                           chunk->out.data(), kChunk);
    });
  }
}
