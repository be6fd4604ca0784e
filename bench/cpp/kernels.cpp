#include "kernels/kernels.hpp"

#include <benchmark/benchmark.h>

#include <cstring>
#include <functional>

#include "data.hpp"

namespace {

void copy(benchmark::State& state, const DataSet& set) {
  std::vector<std::uint8_t> out(set.bytes.size());
  for (auto _ : state) {
    std::memcpy(out.data(), set.bytes.data(), out.size());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * out.size()));
}

void histogram(benchmark::State& state, const DataSet& set) {
  constexpr std::size_t kBlock = std::size_t{1} << 18;
  std::uint64_t counts[256] = {};
  for (auto _ : state) {
    for (std::size_t i = 0; i + kBlock <= set.bytes.size(); i += kBlock) {
      gradwire::kernels().bytes.histogram(set.bytes.data() + i, kBlock, counts);
    }
  }
  benchmark::DoNotOptimize(counts);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * set.bytes.size()));
}

void checksum(benchmark::State& state, const DataSet& set) {
  std::uint32_t crc = 0;
  for (auto _ : state)
    crc = gradwire::kernels().bytes.crc32c(crc, set.bytes.data(), set.bytes.size());
  benchmark::DoNotOptimize(crc);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * set.bytes.size()));
}

void run_starts(benchmark::State& state, const DataSet& set) {
  constexpr std::size_t kBlock = 4096;
  std::uint16_t starts[kBlock + 8];
  std::size_t runs = 0;
  for (auto _ : state) {
    for (std::size_t i = 0; i + kBlock <= set.bytes.size(); i += kBlock) {
      runs += gradwire::kernels().bytes.run_starts(set.bytes.data() + i, kBlock, 1, starts);
    }
  }
  benchmark::DoNotOptimize(runs);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * set.bytes.size()));
}

}  // namespace

void register_kernels(const std::vector<DataSet>& sets) {
  for (const DataSet& set : sets) {
    benchmark::RegisterBenchmark((set.name + "/kernel/memcpy").c_str(), copy, std::cref(set));
    benchmark::RegisterBenchmark((set.name + "/kernel/histogram").c_str(), histogram,
                                 std::cref(set));
    benchmark::RegisterBenchmark((set.name + "/kernel/crc32c").c_str(), checksum, std::cref(set));
    benchmark::RegisterBenchmark((set.name + "/kernel/run_starts").c_str(), run_starts,
                                 std::cref(set));
  }
}
