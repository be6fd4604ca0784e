// huff0 as zstd uses it: blocks of 128 KB, each with its own histogram and table. The prototypes
// are those of lib/common/huf.h in zstd 1.5.4; the static archive exports them. And the rANS coder
// of htscodecs.

#include <benchmark/benchmark.h>

#include <htscodecs/rANS_static4x16.h>
#include <cstring>
#include <functional>
#include <string>

#include "data.hpp"

extern "C" {
std::size_t HUF_compress4X_repeat(void* dst, std::size_t dst_size, const void* src,
                                  std::size_t src_size, unsigned max_symbol, unsigned table_log,
                                  void* workspace, std::size_t workspace_size, std::size_t* table,
                                  int* repeat, int flags);
std::size_t HUF_decompress4X_hufOnly_wksp(std::uint32_t* table, void* dst, std::size_t dst_size,
                                          const void* src, std::size_t src_size, void* workspace,
                                          std::size_t workspace_size, int flags);
unsigned HUF_isError(std::size_t code);
}

namespace {

constexpr std::size_t kBlock = 128 * 1024;
constexpr unsigned kTableLog = 11;

/// `Flags`: kBmi2 lets it use BMI2 instructions and, to decode, its assembly.
constexpr int kPlain = 0;
constexpr int kBmi2 = 1;
template <int Flags>
struct Huff0 {
  std::vector<std::uint64_t> workspace = std::vector<std::uint64_t>(2048);
  std::vector<std::size_t> compress_table = std::vector<std::size_t>(257);
  std::vector<std::uint32_t> decompress_table = std::vector<std::uint32_t>(1 + (1u << 12));

  /// Blocks as: size of the coded bytes (4 bytes), then the bytes.
  std::size_t encode(const std::vector<std::uint8_t>& in, std::vector<std::uint8_t>& out) {
    std::size_t used = 0;
    for (std::size_t i = 0; i < in.size(); i += kBlock) {
      const std::size_t size = std::min(kBlock, in.size() - i);
      int repeat = 0;
      const std::size_t coded = HUF_compress4X_repeat(
          &out[used + 4], out.size() - used - 4, &in[i], size, 255, kTableLog, workspace.data(),
          8 * workspace.size(), compress_table.data(), &repeat, Flags);
      if (HUF_isError(coded) || coded < 2) return 0;
      const std::uint32_t header = static_cast<std::uint32_t>(coded);
      std::memcpy(&out[used], &header, 4);
      used += 4 + coded;
    }
    return used;
  }

  bool decode(const std::vector<std::uint8_t>& in, std::vector<std::uint8_t>& out) {
    std::size_t used = 0;
    for (std::size_t i = 0; i < out.size(); i += kBlock) {
      std::uint32_t coded;
      std::memcpy(&coded, &in[used], 4);
      decompress_table[0] = 12 * 0x01000001u;
      const std::size_t size = std::min(kBlock, out.size() - i);
      const std::size_t got =
          HUF_decompress4X_hufOnly_wksp(decompress_table.data(), &out[i], size, &in[used + 4],
                                        coded, workspace.data(), 8 * workspace.size(), Flags);
      if (got != size) return false;
      used += 4 + coded;
    }
    return true;
  }
};

/// rANS of order 0 with 32 interleaved states of 16-bit steps, vectorised; blocks of 1 MiB.
struct Rans32x16 {
  static constexpr std::size_t kRansBlock = 1 << 20;
  static constexpr int kOrder0With32States = 4;

  std::size_t encode(const std::vector<std::uint8_t>& in, std::vector<std::uint8_t>& out) {
    std::size_t used = 0;
    for (std::size_t i = 0; i < in.size(); i += kRansBlock) {
      const std::size_t size = std::min(kRansBlock, in.size() - i);
      unsigned coded =
          static_cast<unsigned>(std::min<std::size_t>(out.size() - used - 4, std::size_t{1} << 30));
      if (rans_compress_to_4x16(const_cast<std::uint8_t*>(&in[i]), static_cast<unsigned>(size),
                                &out[used + 4], &coded, kOrder0With32States) == nullptr) {
        return 0;
      }
      std::memcpy(&out[used], &coded, 4);
      used += 4 + coded;
    }
    return used;
  }

  bool decode(const std::vector<std::uint8_t>& in, std::vector<std::uint8_t>& out) {
    std::size_t used = 0;
    for (std::size_t i = 0; i < out.size(); i += kRansBlock) {
      unsigned coded;
      std::memcpy(&coded, &in[used], 4);
      unsigned size = static_cast<unsigned>(std::min(kRansBlock, out.size() - i));
      if (rans_uncompress_to_4x16(const_cast<std::uint8_t*>(&in[used + 4]), coded, &out[i],
                                  &size) == nullptr) {
        return false;
      }
      used += 4 + coded;
    }
    return true;
  }
};

template <typename Peer>
void encode(benchmark::State& state, const DataSet& set) {
  Peer peer;
  std::vector<std::uint8_t> out(set.bytes.size() + set.bytes.size() / 4 + 1'000'000);
  std::size_t size = 0;
  for (auto _ : state) size = peer.encode(set.bytes, out);
  if (size == 0) state.SkipWithError("the peer failed");
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * set.bytes.size()));
  state.counters["bits"] = 8.0 * static_cast<double>(size) / static_cast<double>(set.bytes.size());
}

template <typename Peer>
void decode(benchmark::State& state, const DataSet& set) {
  Peer peer;
  std::vector<std::uint8_t> coded(set.bytes.size() + set.bytes.size() / 4 + 1'000'000);
  coded.resize(peer.encode(set.bytes, coded));
  std::vector<std::uint8_t> out(set.bytes.size());
  bool good = true;
  for (auto _ : state) good = good && peer.decode(coded, out);
  if (!good || out != set.bytes) state.SkipWithError("the peer failed");
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * set.bytes.size()));
}

template <typename Peer>
void register_peer(const DataSet& set, const std::string& name) {
  const std::string row = set.name + "/" + name + "/threads:1/";
  benchmark::RegisterBenchmark((row + "encode").c_str(), encode<Peer>, std::cref(set))
      ->UseRealTime();
  benchmark::RegisterBenchmark((row + "decode").c_str(), decode<Peer>, std::cref(set))
      ->UseRealTime();
}

}  // namespace

void register_peers(const std::vector<DataSet>& sets) {
  for (const DataSet& set : sets) {
    register_peer<Huff0<kBmi2>>(set, "huff0");
    register_peer<Huff0<kPlain>>(set, "huff0_plain");
    register_peer<Rans32x16>(set, "rans32x16");
  }
}
