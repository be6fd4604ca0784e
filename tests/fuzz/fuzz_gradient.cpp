// Any bytes whatsoever as a gradient frame: they decode, or raise an Error, and nothing else
// happens.

#include <cstdint>
#include <vector>

#include "gradwire/gradwire.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::uint64_t kMaxCount = std::uint64_t{1} << 20;
  const std::span<const std::uint8_t> frame(data, size);
  try {
    const gradwire::GradientInfo info = gradwire::inspect_gradient(frame);
    if (info.count > kMaxCount) return 0;
    std::vector<float> out(info.count);
    gradwire::decompress_gradient(frame, out, size % 2 == 0, 0.5f, 1);
    const std::span<const std::uint8_t> twice[] = {frame, frame};
    const float scales[] = {0.5f, 2.0f};
    gradwire::decompress_sum(twice, out, scales, 1);
    if (info.method != gradwire::Method::kPlanes) return 0;
    std::vector<std::uint8_t> exact(info.count * gradwire::item_size(info.type));
    gradwire::decompress_exactly(frame, exact, 1);
  } catch (const gradwire::Error&) {
  }
  return 0;
}
