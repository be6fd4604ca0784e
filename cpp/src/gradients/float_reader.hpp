#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "frame/frame_header.hpp"
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
        count_(element_count(gradient.shape, DType::kInt64)),
        zero_nonfinite_(options.zero_nonfinite),
        feedback_(options.feedback),
        next_(feedback_.next != nullptr ? feedback_.next : feedback_.residual) {}

  std::uint64_t count() const { return count_; }
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
  /// What take() has returned before.
  const float* taken(std::uint64_t first, std::size_t count, float* scratch) const {
    return has_residual() ? residual(first) : gradient(first, count, scratch);
  }

  /// Calls f(first element, elements) for the pieces of a range, up to `size` elements at a time.
  /// `by` is one of the four functions above.
  using Read = const float* (FloatReader::*)(std::uint64_t, std::size_t, float*) const;
  template <typename F>
  void for_each_piece(std::uint64_t begin, std::uint64_t end, std::uint64_t size, Read by,
                      const F& f) const {
    float scratch[kPiece];
    for (std::uint64_t first = begin; first < end; first += size) {
      const auto count = static_cast<std::size_t>(std::min(size, end - first));
      f(first, std::span((this->*by)(first, count, scratch), count));
    }
  }

  /// Throws std::invalid_argument, which names the first element of the gradient that is NaN or
  /// infinite as float32.
  [[noreturn]] void report_nonfinite() const;

 private:
  const std::uint8_t* bytes_;
  FloatType type_;
  std::uint64_t count_;
  bool zero_nonfinite_;
  Feedback feedback_;
  float* next_;
};

}  // namespace gradwire
