#include <benchmark/benchmark.h>

#include <string>

#include "data.hpp"
#include "gradwire/gradwire.hpp"

namespace {

using Frame = std::vector<std::uint8_t>;

gradwire::ArrayView view(const DataSet& set, const std::uint64_t& size) {
  return {set.bytes.data(), gradwire::DType::kInt8, {&size, 1}};
}

void encode(benchmark::State& state, const DataSet& set, gradwire::Options options) {
  const std::uint64_t size = set.bytes.size();
  Frame out(gradwire::max_compressed_size(view(set, size)));
  std::size_t frame = 0;
  for (auto _ : state) frame = compress_into(view(set, size), options, out);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * size));
  state.counters["bits"] = 8.0 * static_cast<double>(frame) / static_cast<double>(size);
}

void decode(benchmark::State& state, const DataSet& set, gradwire::Options options) {
  const std::uint64_t size = set.bytes.size();
  Frame frame(gradwire::max_compressed_size(view(set, size)));
  frame.resize(compress_into(view(set, size), options, frame));
  std::vector<std::uint8_t> out(size);
  for (auto _ : state) gradwire::decompress_into(frame, out, options.threads);
  if (out != set.bytes) state.SkipWithError("the decoded data differ");
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * size));
}

}  // namespace

void register_codecs(const std::vector<DataSet>& sets) {
  for (const DataSet& set : sets) {
    for (const gradwire::CodecInfo& codec : gradwire::codecs()) {
      for (const int threads : {1, 2}) {
        gradwire::Options options;
        options.codec = codec.id;
        options.threads = threads;
        const std::string name =
            set.name + "/" + std::string(codec.key) + "/threads:" + std::to_string(threads);
        benchmark::RegisterBenchmark((name + "/encode").c_str(), encode, set, options)
            ->UseRealTime();
        benchmark::RegisterBenchmark((name + "/decode").c_str(), decode, set, options)
            ->UseRealTime();
      }
    }
  }
}
