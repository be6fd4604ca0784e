// Both layouts of the same Huffman code (FORMAT.md, section 5.3), for code words of rising lengths:
// what the choice between them, pivot_pays(), is based on.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <vector>

#include "coded_chunk.hpp"
#include "data.hpp"
#include "prefix/pivot_code.hpp"

namespace {

using namespace gradwire;
using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kChunk = std::size_t{1} << 18;

/// Bytes around 0, each value less frequent than the one before by `factor`.
Bytes bytes_around_zero(double factor) {
  Bytes bytes(kChunk);
  std::mt19937 random(1);
  std::geometric_distribution<int> distance(1 - factor);
  for (auto& byte : bytes) {
    const int size = std::min(distance(random), 120);
    byte = static_cast<std::uint8_t>(random() % 2 == 0 ? size : -size);
  }
  return bytes;
}

/// Such bytes, coded in both layouts.
struct Chunk : CodedChunk {
  explicit Chunk(double factor)
      : CodedChunk(bytes_around_zero(factor)),
        pivot(*code, symbols),
        nodes(*pivot.encode(data, by_node)) {}

  Bytes by_node = Bytes(2 * kChunk);
  PivotCode pivot;
  std::uint64_t nodes;
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
    add(*chunk, "classic/encode", [=] { chunk->encode(kernels().codes); });
    add(*chunk, "pivot/encode", [=] { chunk->pivot.encode(chunk->data, chunk->by_node); });
    add(*chunk, "classic/decode", [=] { chunk->decode(kernels().codes); });
    add(*chunk, "pivot/decode", [=] {
      const std::size_t size = static_cast<std::size_t>((chunk->nodes + 7) / 8);
      chunk->pivot.decode({chunk->by_node.data(), size}, chunk->by_node.data() + size,
                          chunk->out.data(), kChunk);
    });
  }
}
