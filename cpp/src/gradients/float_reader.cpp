#include "gradients/float_reader.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include "kernels/kernels.hpp"

namespace gradwire {
namespace {

[[noreturn]] void report(const std::string& where) {
  throw std::invalid_argument("the gradient is not finite as float32" + where +
                              "; pass nonfinite=\"zero\" to send such elements as 0");
}

}  // namespace

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

void FloatReader::report_nonfinite() const {
  const auto look_at = [](std::uint64_t first, std::span<const float> x) {
    const auto found = std::ranges::find_if(x, [](float v) { return !std::isfinite(v); });
    const std::uint64_t index = first + static_cast<std::uint64_t>(found - x.begin());
    if (found != x.end()) report(" at flat index " + std::to_string(index));
  };
  for_each_piece(0, count_, kPiece, &FloatReader::gradient, look_at);
  report("; it changed during compression, so no index can be given");
}

}  // namespace gradwire
