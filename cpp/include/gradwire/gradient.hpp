#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "gradwire/codec.hpp"

namespace gradwire {

/// Element types of gradients; the numbers stand in the frame (FORMAT.md, section 9).
enum class FloatType : std::uint8_t { kFloat32 = 0, kFloat16 = 1, kBFloat16 = 2, kFloat64 = 3 };
inline constexpr std::uint8_t kFloatTypeCount = 4;

/// Bytes of one element: 2, 4 or 8.
constexpr std::size_t item_size(FloatType type) {
  constexpr std::uint8_t kSizes[kFloatTypeCount] = {4, 2, 2, 8};
  return kSizes[static_cast<std::uint8_t>(type)];
}

/// A C-contiguous array of floats, owned by the caller. An empty shape is one element.
struct GradientView {
  const void* data = nullptr;
  FloatType type = FloatType::kFloat32;
  std::span<const std::uint64_t> shape;
};

/// What a gradient becomes; the numbers stand in the frame.
enum class Method : std::uint8_t {
  kLevels = 0,  ///< integers of -levels to levels, times the scale of their bucket
  kSigns = 1,   ///< one bit, for one of two values; no element is 0
  kPowers = 2,  ///< powers of two, with signs
  kPlanes = 3,  ///< itself, without loss
  kSparse = 4,  ///< some of its elements
  kRandom = 5,  ///< the same, at places that sender and receiver draw alike
  /// signs of the elements that are not 0, and which these are; what kSigns becomes where some are
  /// 0
  kTernarySigns = 6,
};

/// What the scale of a bucket is.
enum class Norm : std::uint8_t {
  kL2,   ///< levels: the Euclidean norm
  kMax,  ///< levels: the largest magnitude
  /// levels: the same, clipped to `deviations` standard deviations, but not below the root mean
  /// square
  kDeviations,
  kOne,       ///< signs: 1
  kMean,      ///< signs: the mean magnitude of the elements that are not 0
  kTwoMeans,  ///< signs: the mean magnitudes of those above 0, and of those below
};

/// How scales are sent. Levels are made with the scale as sent, which is rounded up; the means of
/// signs are rounded to the nearest.
enum class ScaleType : std::uint8_t {
  kFloat32 = 0,
  kBFloat16 = 1,
  kLog8 = 2,  ///< powers of 2^(1/8), up to 3.1e38: levels of larger elements are clipped
};

struct Quantizer {
  Method method = Method::kLevels;
  Norm norm = Norm::kL2;
  unsigned levels = 4;              ///< 1 to 127
  std::uint64_t bucket_size = 512;  ///< elements that share a scale; 0: all
  float deviations = 2.5f;
  bool stochastic = true;  ///< levels: rounded at random, without bias; otherwise to the nearest
  ScaleType scale_type = ScaleType::kLog8;
};

/// Error feedback: what is quantized is gamma * gradient + beta * residual, and what that loses is
/// the next residual. Both arrays have as many elements as the gradient.
struct Feedback {
  float* residual = nullptr;  ///< null: no error feedback
  float beta = 1;
  float gamma = 1;
  /// Receives the next residual, while `residual` stays as it is; null: `residual` is overwritten.
  float* next = nullptr;
};

struct GradientOptions {
  Quantizer quantizer;
  Options codec;
  std::uint64_t stream = 0;     ///< names the random numbers: another one for each tensor and step
  bool zero_nonfinite = false;  ///< NaN and infinity count as 0; otherwise they are an error
  Feedback feedback;
};

/// Upper bound of a gradient frame's bytes.
std::size_t max_gradient_frame_size(const GradientView& gradient, const GradientOptions& options);

/// Writes one gradient frame to `out`, of at least max_gradient_frame_size() bytes, and returns its
/// size. Throws std::invalid_argument that names the first element that is not finite; the residual
/// has not changed then.
std::size_t compress_gradient(const GradientView& gradient, const GradientOptions& options,
                              std::span<std::uint8_t> out);

/// Some elements of a gradient: ascending indices, and their values.
struct SparseView {
  std::span<const std::uint64_t> shape;  ///< of the whole gradient, of type `type`
  FloatType type = FloatType::kFloat32;
  std::span<const std::uint32_t> indices;
  const float* values = nullptr;
  /// They are random_indices() of this stream, and need not travel.
  std::optional<std::uint64_t> random_stream = std::nullopt;
};

/// The same for some elements of a gradient; `options` is about their values. Of
/// kPlanes, these are sent as `value_type`. `sent`, unless it is null: the values as they arrive.
std::size_t max_sparse_frame_size(const SparseView& gradient, const GradientOptions& options);
std::size_t compress_sparse(const SparseView& gradient, FloatType value_type,
                            const GradientOptions& options, std::span<std::uint8_t> out,
                            float* sent = nullptr);

/// What a gradient frame says of itself.
struct GradientInfo {
  Method method = Method::kLevels;
  FloatType type = FloatType::kFloat32;
  std::vector<std::uint64_t> shape;
  std::uint64_t count = 0;  ///< elements
  std::uint64_t sent = 0;   ///< elements that are not left out
};
GradientInfo inspect_gradient(std::span<const std::uint8_t> frame);

/// out = scale * gradient or, if `add`, out += that; `out` has an element for each of the gradient.
/// Decodes chunk by chunk, without a temporary array of the whole size. Checksums are tested before
/// anything is written.
void decompress_gradient(std::span<const std::uint8_t> frame, std::span<float> out, bool add,
                         float scale, int threads = 0);

/// out = scale * the sum of the gradients in `frames`, added up in their order: the same bits as
/// one decompress_gradient after the other, but passes over `out` once where all were quantized
/// alike.
void decompress_sum(std::span<const std::span<const std::uint8_t>> frames, std::span<float> out,
                    float scale, int threads = 0);

/// The exact elements of a frame of kPlanes, in their own type.
void decompress_exactly(std::span<const std::uint8_t> frame, std::span<std::uint8_t> out,
                        int threads = 0);

/// out = gamma * gradient + beta * residual, at most the largest float; for memories of
/// sparsifiers. `out` may be `residual`.
void combine(std::span<const float> gradient, float gamma, float beta,
             std::span<const float> residual, std::span<float> out);

/// A quantizer without a codec: writes an int8 for each element (signs: -1, 0 or 1), and the
/// scales: one per bucket, two with kTwoMeans; of kPowers one, the power of two of level 1; of kOne
/// none.
void quantize(const GradientView& gradient, const GradientOptions& options, std::int8_t* levels,
              std::vector<float>& scales);

}  // namespace gradwire
