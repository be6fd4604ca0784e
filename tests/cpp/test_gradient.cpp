#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <stdexcept>
#include <type_traits>

#include "gradwire/gradwire.hpp"

using namespace gradwire;

namespace {

std::vector<float> gradient(std::size_t count) {
  std::mt19937 engine(4);
  std::normal_distribution<float> normal;
  std::vector<float> x(count);
  for (float& v : x) v = normal(engine);
  return x;
}

std::vector<std::uint8_t> compressed(const std::vector<float>& x, const GradientOptions& options) {
  const std::uint64_t shape[] = {x.size()};
  const GradientView view{x.data(), FloatType::kFloat32, shape};
  std::vector<std::uint8_t> frame(max_gradient_frame_size(view, options));
  frame.resize(compress_gradient(view, options, frame));
  return frame;
}

}  // namespace

TEST_CASE("a gradient there and back, added up") {
  const std::vector<float> x = gradient(300'001);
  const auto frame = compressed(x, {});
  CHECK(frame.size() * 25 < x.size() * sizeof(float));
  std::vector<float> once(x.size());
  decompress_gradient(frame, once, false, 1);
  std::vector<float> sum(x.size());
  for (int i = 0; i < 2; ++i) decompress_gradient(frame, sum, true, 0.5f);
  double error = 0;
  double norm = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    CHECK(sum[i] == doctest::Approx(once[i]));
    error += std::pow(once[i] - x[i], 2);
    norm += std::pow(x[i], 2);
  }
  CHECK(error < 6 * norm);
  const GradientInfo info = inspect_gradient(frame);
  CHECK(info.count == x.size());
  CHECK(info.method == Method::kLevels);
}

TEST_CASE_TEMPLATE("levels without floats, which give the same bits when multiplied and added",
                   Level, std::int8_t, std::int16_t) {
  constexpr bool is_wide = sizeof(Level) > 1;
  std::vector<float> x = gradient(300'001);
  std::fill_n(x.data() + 1024, 2048, 0.0f);  // buckets whose scale is 0
  GradientOptions options;
  options.quantizer.levels = is_wide ? 1000 : 4;
  const auto frame = compressed(x, options);
  CHECK(inspect_gradient(frame).method == (is_wide ? Method::kWideLevels : Method::kLevels));
  std::vector<float> wanted(x.size());
  std::vector<float> sum(x.size());
  std::vector<Level> levels(x.size());
  for (const bool add : {false, true}) {
    decompress_gradient(frame, wanted, add, 1.0f / 3);
    const LevelUnits found = decompress_levels(frame, levels, add, 1.0f / 3);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const volatile float product =
          static_cast<float>(levels[i]) * found.units[i / found.bucket_size];
      sum[i] = add ? sum[i] + product : product;
    }
    CHECK(std::memcmp(sum.data(), wanted.data(), sizeof(float) * sum.size()) == 0);
  }
  GradientOptions signs;
  signs.quantizer.method = Method::kSigns;
  signs.quantizer.norm = Norm::kOne;
  CHECK_THROWS_WITH(decompress_levels(compressed(x, signs), levels, false, 1),
                    doctest::Contains("not a frame of levels"));
  CHECK_THROWS_WITH(decompress_levels(frame, std::span(levels).first(9), false, 1),
                    doctest::Contains("out has 9 elements"));
  std::vector<std::conditional_t<is_wide, std::int8_t, std::int16_t>> others(x.size());
  CHECK_THROWS_WITH(decompress_levels(frame, others, false, 1),
                    doctest::Contains("levels of this frame are int"));
  const std::uint64_t shape[] = {x.size()};
  const GradientView view{x.data(), FloatType::kFloat32, shape};
  std::vector<float> scales;
  CHECK_THROWS_WITH(quantize(view, options, others.data(), scales),
                    doctest::Contains("more than 127 levels"));
  quantize(view, options, levels.data(), scales);
  CHECK(levels[0] * (scales[0] / static_cast<float>(options.quantizer.levels)) ==
        doctest::Approx(3 * wanted[0] / 2));  // wanted has 1/3 of the gradient twice
}

TEST_CASE("a residual is what has been lost") {
  const std::vector<float> x = gradient(100'000);
  std::vector<float> residual(x.size());
  GradientOptions options;
  options.feedback.residual = residual.data();
  for (const unsigned levels : {4u, 1000u, 32767u}) {
    options.quantizer.levels = levels;
    std::fill(residual.begin(), residual.end(), 0.0f);
    std::vector<float> sent(x.size());
    for (int step = 0; step < 3; ++step) decompress_gradient(compressed(x, options), sent, true, 1);
    for (std::size_t i = 0; i < x.size(); ++i) {
      CHECK(sent[i] + residual[i] == doctest::Approx(3 * x[i]).epsilon(1e-4));
    }
  }
}

TEST_CASE_TEMPLATE("levels and scales of the caller", Level, std::int8_t, std::int16_t) {
  std::vector<Level> levels(300'001);
  for (std::size_t i = 0; i < levels.size(); ++i) levels[i] = static_cast<Level>(i * i % 65536);
  std::vector<float> scales(3001);
  for (std::size_t i = 0; i < scales.size(); ++i) scales[i] = 0.1f * static_cast<float>(i);
  const std::uint64_t shape[] = {levels.size()};
  LevelsView view{levels.data(), shape, FloatType::kFloat16, scales, 100};
  std::vector<std::uint8_t> frame(max_levels_frame_size(view));
  frame.resize(compress_levels(view, {}, frame));
  std::vector<float> decoded(levels.size());
  decompress_gradient(frame, decoded, false, 1);
  for (std::size_t i = 0; i < levels.size(); ++i) {
    CHECK(decoded[i] == static_cast<float>(levels[i]) * scales[i / 100]);
  }
  CHECK(inspect_gradient(frame).type == FloatType::kFloat16);
  std::vector<std::uint8_t> room(max_levels_frame_size(view));
  CHECK_THROWS_AS(compress_levels(view, {}, std::span(room).first(1000)), BufferTooSmallError);
  view.bucket_size = 99;
  CHECK_THROWS_WITH(compress_levels(view, {}, room), doctest::Contains("need 3031 scales"));
  view.bucket_size = 100;
  scales[7] = -1;
  CHECK_THROWS_WITH(compress_levels(view, {}, room), doctest::Contains("at index 7"));
}

TEST_CASE("wrong arguments") {
  std::vector<float> x = gradient(1000);
  const auto frame = compressed(x, {});
  std::vector<float> out(999);
  CHECK_THROWS_AS(decompress_gradient(frame, out, false, 1), std::invalid_argument);
  std::vector<std::uint8_t> bytes(4000);
  CHECK_THROWS_AS(decompress_exactly(frame, bytes), std::invalid_argument);
  x[7] = NAN;
  CHECK_THROWS_WITH(compressed(x, {}), doctest::Contains("flat index 7"));
  std::vector<std::uint8_t> small(10);
  const std::uint64_t shape[] = {x.size()};
  CHECK_THROWS_AS(compress_gradient({x.data(), FloatType::kFloat32, shape}, {}, small),
                  BufferTooSmallError);
  const std::uint32_t unordered[] = {5, 4};
  std::vector<std::uint8_t> room(10'000);
  GradientOptions options;
  options.quantizer.method = Method::kPlanes;
  const auto sparse = [&](std::span<const std::uint32_t> indices, auto random, auto out) {
    const SparseView view{shape, FloatType::kFloat32, indices, x.data() + 10, random};
    return compress_sparse(view, FloatType::kFloat32, options, out);
  };
  const std::span<std::uint8_t> all = room;
  CHECK_THROWS_AS(sparse(unordered, std::nullopt, all), std::invalid_argument);
  const std::uint32_t ordered[] = {4, 5};
  CHECK_THROWS_AS(sparse(ordered, std::optional<std::uint64_t>(1), all), std::invalid_argument);
  CHECK_THROWS_AS(sparse(ordered, std::nullopt, all.first(100)), BufferTooSmallError);
  options.quantizer.levels = 32768;
  options.quantizer.method = Method::kLevels;
  CHECK_THROWS_AS(sparse(ordered, std::nullopt, all), std::invalid_argument);
  options.quantizer.method = Method::kSigns;
  CHECK_THROWS_AS(sparse(ordered, std::nullopt, all), std::invalid_argument);
}
