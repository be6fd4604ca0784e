#pragma once

#include <cstdint>
#include <optional>

#include "gradwire/gradient.hpp"

namespace gradwire {

/// Number of elements treated at once: they and their residual stay in the first-level cache.
inline constexpr std::size_t kPiece = 2048;

/// Reads a gradient as float32, piece by piece, with or without its residual.
class FloatReader {
 public:
  FloatReader(const GradientView& gradient, const GradientOptions& options)
      : bytes_(static_cast<const std::uint8_t*>(gradient.data)),
        type_(gradient.type),
        zero_nonfinite_(options.zero_nonfinite),
        feedback_(options.feedback),
        next_(feedback_.next != nullptr ? feedback_.next : feedback_.residual) {}

  bool has_residual() const { return feedback_.residual != nullptr; }
  /// Whether read() and take() return the elements where they are, and take any `count`.
  bool is_in_place() const {
    return type_ == FloatType::kFloat32 && !zero_nonfinite_ && !has_residual();
  }
  /// Where the next residual of element `first` is.
  float* residual(std::uint64_t first) const { return next_ + first; }

  /// Up to kPiece elements of the gradient without its residual. They may lie in `scratch`.
  const float* gradient(std::uint64_t first, std::size_t count, float* scratch) const;
  /// Like gradient(), but with the residual: the values to be quantized.
  const float* read(std::uint64_t first, std::size_t count, float* scratch) const;
  /// Like read(), and stores the result as the next residual, if there is one.
  const float* take(std::uint64_t first, std::size_t count, float* scratch) const;

  /// Index of the first element of the gradient that is not finite as float32.
  std::optional<std::uint64_t> first_nonfinite(std::uint64_t count) const;

 private:
  const std::uint8_t* bytes_;
  FloatType type_;
  bool zero_nonfinite_;
  Feedback feedback_;
  float* next_;
};

}  // namespace gradwire
