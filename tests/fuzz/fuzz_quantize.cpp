// Any floats and options: what is compressed comes back, or the gradient is not finite.

#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <vector>

#include "gradwire/gradwire.hpp"

namespace {

void check(bool holds) {
  if (!holds) __builtin_trap();
}

gradwire::GradientOptions options_of(const std::uint8_t* data) {
  gradwire::GradientOptions options;
  options.quantizer.method = static_cast<gradwire::Method>(data[0] % 4);
  const bool is_signs = options.quantizer.method == gradwire::Method::kSigns;
  options.quantizer.norm = static_cast<gradwire::Norm>(data[1] % 3 + (is_signs ? 3 : 0));
  // 1 to 127, and from 255 to 32767 in steps of 254.
  options.quantizer.levels = data[2] < 127 ? 1 + data[2] : 1 + 254 * (data[2] - 126);
  options.quantizer.bucket_size = data[3];
  options.quantizer.stochastic = data[4] % 2 == 0;
  options.quantizer.scale_type = static_cast<gradwire::ScaleType>(data[4] / 2 % 3);
  options.zero_nonfinite = data[5] % 2 == 0;
  options.codec.codec = static_cast<gradwire::CodecId>(data[6] % 7);
  options.codec.threads = 1;
  options.codec.checksum = data[5] / 2 % 2 == 0;
  return options;
}

/// Levels fit their range, and SignSGD's are what arrives.
template <typename Level>
void check_levels(const gradwire::GradientView& view, const gradwire::GradientOptions& options,
                  const std::vector<float>& arrived) {
  std::vector<Level> levels(arrived.size());
  std::vector<float> scales;
  gradwire::quantize(view, options, levels.data(), scales);
  for (std::size_t i = 0; i < levels.size(); ++i) {
    check(levels[i] >= -std::numeric_limits<Level>::max());
    const float level = levels[i];
    if (options.quantizer.norm == gradwire::Norm::kOne) check(level == arrived[i]);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kOptions = 8;
  if (size < kOptions) return 0;
  gradwire::GradientOptions options = options_of(data);
  const auto type = static_cast<gradwire::FloatType>(data[7] % gradwire::kFloatTypeCount);
  const std::uint64_t shape[] = {(size - kOptions) / gradwire::item_size(type)};
  std::vector<std::uint8_t> elements(data + kOptions, data + size);
  const gradwire::GradientView view{elements.data(), type, shape};
  std::vector<float> residual(shape[0]);
  const bool is_planes = options.quantizer.method == gradwire::Method::kPlanes;
  if (data[7] >= 128 && !is_planes) options.feedback.residual = residual.data();
  std::vector<std::uint8_t> frame(gradwire::max_gradient_frame_size(view, options));
  try {
    frame.resize(gradwire::compress_gradient(view, options, frame));
  } catch (const std::invalid_argument&) {
    check(!options.zero_nonfinite && !is_planes);
    return 0;
  }
  std::vector<float> out(shape[0]);
  gradwire::decompress_gradient(frame, out, false, 1, 1);
  if (is_planes) {
    std::vector<std::uint8_t> exact(shape[0] * gradwire::item_size(type));
    gradwire::decompress_exactly(frame, exact, 1);
    elements.resize(exact.size());
    check(exact == elements);
  } else {
    for (const float value : out) check(std::isfinite(value));
    if (options.feedback.residual != nullptr) return 0;
    const bool is_wide = options.quantizer.method == gradwire::Method::kLevels &&
                         options.quantizer.levels > gradwire::kMostNarrowLevels;
    (is_wide ? check_levels<std::int16_t> : check_levels<std::int8_t>)(view, options, out);
  }
  return 0;
}
