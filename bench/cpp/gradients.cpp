// Quantizers: floats to levels, to frames, and back, without Python and in memory that is used
// again.

#include <benchmark/benchmark.h>

#include <functional>
#include <string>

#include "data.hpp"
#include "gradwire/gradwire.hpp"

namespace {

constexpr std::size_t kElements = std::size_t{1} << 24;

gradwire::GradientView view() {
  static const std::uint64_t shape[] = {kElements};
  return {laplace(kElements).data(), gradwire::FloatType::kFloat32, shape};
}

std::vector<std::uint8_t> frame_of(const gradwire::GradientOptions& options) {
  std::vector<std::uint8_t> frame(gradwire::max_gradient_frame_size(view(), options));
  frame.resize(compress_gradient(view(), options, frame));
  return frame;
}

void count(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kElements));
}

template <typename Level>
void quantize(benchmark::State& state, const gradwire::GradientOptions& options) {
  std::vector<Level> levels(kElements);
  std::vector<float> scales;
  const gradwire::GradientView gradient = view();  // made before time is taken
  for (auto _ : state) gradwire::quantize(gradient, options, levels.data(), scales);
  count(state);
}

void compress(benchmark::State& state, gradwire::GradientOptions options, bool feedback) {
  std::vector<std::uint8_t> frame(gradwire::max_gradient_frame_size(view(), options));
  std::vector<float> residual(kElements);
  if (feedback) options.feedback.residual = residual.data();
  std::size_t size = 0;
  for (auto _ : state) size = compress_gradient(view(), options, frame);
  count(state);
  state.counters["bits"] = 8.0 * static_cast<double>(size) / static_cast<double>(kElements);
}

void decompress_add(benchmark::State& state, const gradwire::GradientOptions& options) {
  const std::vector<std::uint8_t> frame = frame_of(options);
  std::vector<float> sum(kElements);
  for (auto _ : state) gradwire::decompress_gradient(frame, sum, true, 0.5f, options.codec.threads);
  count(state);
}

}  // namespace

void register_gradients() {
  using gradwire::Method;
  using gradwire::Norm;
  const std::pair<const char*, gradwire::Quantizer> quantizers[] = {
      {"QSGD4", {}},
      {"QSGD127", {Method::kLevels, Norm::kL2, 127}},
      {"QSGD1000", {Method::kLevels, Norm::kL2, 1000}},
      {"QSGD32767", {Method::kLevels, Norm::kL2, 32767}},
      {"TernGrad", {Method::kLevels, Norm::kDeviations, 1, 0}},
      {"SignSGD", {Method::kSigns, Norm::kOne, 1, 0}},
      {"OneBit", {Method::kSigns, Norm::kTwoMeans, 1, 512}},
      {"Natural", {Method::kPowers}},
      {"Lossless", {Method::kPlanes}},
  };
  for (const auto& [name, quantizer] : quantizers) {
    gradwire::GradientOptions options;
    options.quantizer = quantizer;
    options.codec.threads = 1;
    const std::string prefix = std::string("gradient/") + name + "/";
    const auto add = [&](const char* what, auto function, auto... arguments) {
      benchmark::RegisterBenchmark((prefix + what).c_str(), function, arguments...)
          ->Unit(benchmark::kMillisecond);
    };
    const bool is_lossless = quantizer.method == Method::kPlanes;
    const bool is_wide = quantizer.levels > gradwire::kMostNarrowLevels;
    const auto to_levels = is_wide ? quantize<std::int16_t> : quantize<std::int8_t>;
    if (!is_lossless) add("quantize", to_levels, options);
    add("compress", compress, options, false);
    if (!is_lossless) add("compress_with_residual", compress, options, true);
    add("decompress_add", decompress_add, options);
  }
}
