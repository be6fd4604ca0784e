#include <benchmark/benchmark.h>

#include <functional>
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

/// The same symbols as wider elements. Bytes per second are still those of the int8 symbols.
template <typename T>
std::vector<T> widened(const DataSet& set) {
  std::vector<T> wide;
  wide.reserve(set.bytes.size());
  for (const std::uint8_t byte : set.bytes) wide.push_back(static_cast<std::int8_t>(byte));
  return wide;
}

template <typename T>
void encode_wide(benchmark::State& state, const DataSet& set, gradwire::Options options,
                 gradwire::DType dtype) {
  const std::uint64_t size = set.bytes.size();
  const std::vector<T> wide = widened<T>(set);
  const gradwire::ArrayView array{wide.data(), dtype, {&size, 1}};
  Frame out(gradwire::max_compressed_size(array));
  for (auto _ : state) benchmark::DoNotOptimize(compress_into(array, options, out));
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * size));
}

template <typename T>
void decode_wide(benchmark::State& state, const DataSet& set, gradwire::Options options,
                 gradwire::DType dtype) {
  const std::uint64_t size = set.bytes.size();
  const std::vector<T> wide = widened<T>(set);
  const gradwire::ArrayView array{wide.data(), dtype, {&size, 1}};
  Frame frame(gradwire::max_compressed_size(array));
  frame.resize(compress_into(array, options, frame));
  std::vector<std::uint8_t> out(size * sizeof(T));
  for (auto _ : state) gradwire::decompress_into(frame, out, options.threads);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * size));
}

template <typename T>
void register_wide(const DataSet& set, gradwire::Options options, const std::string& codec,
                   gradwire::DType dtype, const char* name) {
  const std::string prefix = set.name + "/" + codec + "/" + name;
  benchmark::RegisterBenchmark((prefix + "/encode").c_str(), encode_wide<T>, std::cref(set),
                               options, dtype);
  benchmark::RegisterBenchmark((prefix + "/decode").c_str(), decode_wide<T>, std::cref(set),
                               options, dtype);
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
        benchmark::RegisterBenchmark((name + "/encode").c_str(), encode, std::cref(set), options)
            ->UseRealTime();
        benchmark::RegisterBenchmark((name + "/decode").c_str(), decode, std::cref(set), options)
            ->UseRealTime();
      }
      gradwire::Options options;
      options.codec = codec.id;
      options.threads = 1;
      const std::string key(codec.key);
      register_wide<std::int16_t>(set, options, key, gradwire::DType::kInt16, "int16");
      register_wide<std::int32_t>(set, options, key, gradwire::DType::kInt32, "int32");
      register_wide<std::int64_t>(set, options, key, gradwire::DType::kInt64, "int64");
    }
  }
}
