#include <benchmark/benchmark.h>

#include <cstring>
#include <functional>
#include <string>

#include "data.hpp"
#include "gradwire/gradwire.hpp"

namespace {

using Frame = std::vector<std::uint8_t>;

gradwire::ArrayView view(const DataSet& set, const std::uint64_t& size) {
  return {set.bytes.data(), gradwire::DType::kInt8, {&size, 1}};
}

/// Bytes per second are those of the symbols as int8, whatever the array's dtype.
void time_encode(benchmark::State& state, const gradwire::ArrayView& array,
                 const gradwire::Options& options) {
  const std::uint64_t size = array.shape[0];
  Frame out(gradwire::max_compressed_size(array));
  std::size_t frame = 0;
  for (auto _ : state) frame = compress_into(array, options, out);
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * size));
  state.counters["bits"] = 8.0 * static_cast<double>(frame) / static_cast<double>(size);
}

void time_decode(benchmark::State& state, const gradwire::ArrayView& array,
                 const gradwire::Options& options) {
  const std::uint64_t size = array.shape[0];
  Frame frame(gradwire::max_compressed_size(array));
  frame.resize(compress_into(array, options, frame));
  std::vector<std::uint8_t> out(size * gradwire::item_size(array.dtype));
  for (auto _ : state) gradwire::decompress_into(frame, out, options.threads);
  if (std::memcmp(out.data(), array.data, out.size()) != 0) {
    state.SkipWithError("the decoded data differ");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * size));
}

void encode(benchmark::State& state, const DataSet& set, gradwire::Options options) {
  const std::uint64_t size = set.bytes.size();
  time_encode(state, view(set, size), options);
}

void decode(benchmark::State& state, const DataSet& set, gradwire::Options options) {
  const std::uint64_t size = set.bytes.size();
  time_decode(state, view(set, size), options);
}

/// The same symbols as wider elements.
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
  const std::vector<T> wide = widened<T>(set);
  const std::uint64_t size = wide.size();
  time_encode(state, {wide.data(), dtype, {&size, 1}}, options);
}

template <typename T>
void decode_wide(benchmark::State& state, const DataSet& set, gradwire::Options options,
                 gradwire::DType dtype) {
  const std::vector<T> wide = widened<T>(set);
  const std::uint64_t size = wide.size();
  time_decode(state, {wide.data(), dtype, {&size, 1}}, options);
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
