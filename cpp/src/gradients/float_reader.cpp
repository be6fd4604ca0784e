#include "gradients/float_reader.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.hpp"

namespace gradwire {

const float* FloatReader::gradient(std::uint64_t first, std::size_t count, float* scratch) const {
  const std::uint8_t* const in = bytes_ + first * item_size(type_);
  const float* x = scratch;
  switch (type_) {
    case FloatType::kFloat32: x = reinterpret_cast<const float*>(in); break;
    case FloatType::kFloat16: kernels().floats.from_float16(in, count, scratch); break;
    case FloatType::kBFloat16: kernels().floats.from_bfloat16(in, count, scratch); break;
    case FloatType::kFloat64: kernels().floats.from_float64(in, count, scratch); break;
  }
  if (!zero_nonfinite_) return x;
  FloatStats stats{};
  kernels().floats.squares(x, count, &stats);
  if (stats.largest < kInfinityBits) return x;
  std::transform(x, x + count, scratch, [](float v) { return std::isfinite(v) ? v : 0; });
  return scratch;
}

const float* FloatReader::read(std::uint64_t first, std::size_t count, float* scratch) const {
  if (!has_residual()) return gradient(first, count, scratch);
  float own[kPiece];
  const float* const x = gradient(first, count, own);
  const float* const old = feedback_.residual + first;
  combine({x, count}, feedback_.gamma, feedback_.beta, {old, count}, {scratch, count});
  return scratch;
}

const float* FloatReader::take(std::uint64_t first, std::size_t count, float* scratch) const {
  const float* const x = gradient(first, count, scratch);
  if (!has_residual()) return x;
  const float* const old = feedback_.residual + first;
  combine({x, count}, feedback_.gamma, feedback_.beta, {old, count}, {residual(first), count});
  return residual(first);
}

void combine(std::span<const float> gradient, float gamma, float beta,
             std::span<const float> residual, std::span<float> out) {
  kernels().floats.combine(gradient.data(), out.size(), gamma, beta, residual.data(), out.data());
}

std::optional<std::uint64_t> FloatReader::first_nonfinite(std::uint64_t count) const {
  float scratch[kPiece];
  for (std::uint64_t first = 0; first < count; first += kPiece) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, count - first));
    const float* const x = gradient(first, size, scratch);
    FloatStats stats{};
    kernels().floats.squares(x, size, &stats);
    if (stats.largest < kInfinityBits) continue;
    const auto* const found = std::find_if(x, x + size, [](float v) { return !std::isfinite(v); });
    return first + static_cast<std::uint64_t>(found - x);
  }
  return std::nullopt;
}

}  // namespace gradwire
