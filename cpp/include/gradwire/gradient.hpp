#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "gradwire/codec.hpp"

namespace gradwire {

/// Element types of gradients; frames store these numbers (FORMAT.md, section 9).
enum class FloatType : std::uint8_t { kFloat32 = 0, kFloat16 = 1, kBFloat16 = 2, kFloat64 = 3 };
inline constexpr std::uint8_t kFloatTypeCount = 4;

/// Bytes of one element: 2, 4 or 8.
constexpr std::size_t item_size(FloatType type) {
  constexpr std::uint8_t kSizes[kFloatTypeCount] = {4, 2, 2, 8};
  return kSizes[static_cast<std::uint8_t>(type)];
}

/// A C-contiguous array of floats, owned by the caller. An empty shape means one element.
struct GradientView {
  const void* data = nullptr;
  FloatType type = FloatType::kFloat32;
  std::span<const std::uint64_t> shape;
};

/// How a gradient is represented; frames store these numbers.
enum class Method : std::uint8_t {
  kLevels = 0,  ///< integers from -levels to levels, in units of the bucket's scale / levels
  kSigns = 1,   ///< one bit per element chooses one of two values; no element is 0
  kPowers = 2,  ///< signed powers of two, and 0
  kPlanes = 3,  ///< the exact elements
  kSparse = 4,  ///< some of the elements, with their indices
  kRandom = 5,  ///< some of the elements, at random indices that the receiver can recompute
  /// which elements are not 0, and the signs of these; replaces kSigns in frames if any element is
  /// 0
  kTernarySigns = 6,
  /// levels of int16; replaces kLevels in frames if there are more than kMostNarrowLevels levels
  kWideLevels = 7,
};

/// Levels up to kMostNarrowLevels are int8, more are int16.
inline constexpr unsigned kMostNarrowLevels = 127;
inline constexpr unsigned kMostLevels = 32767;

/// How the scale of a bucket is computed.
enum class Norm : std::uint8_t {
  kL2,   ///< levels: the Euclidean norm
  kMax,  ///< levels: the largest magnitude
  /// levels: the largest magnitude, but no more than `deviations` standard deviations or the root
  /// mean square, whichever is larger
  kDeviations,
  kOne,       ///< signs: 1
  kMean,      ///< signs: the mean magnitude of the elements that are not 0
  kTwoMeans,  ///< signs: the mean magnitudes of the positive and of the negative elements
};

/// How scales are sent. Scales of levels are rounded up, and the levels are computed with the
/// rounded scale; scales of signs are rounded to nearest.
enum class ScaleType : std::uint8_t {
  kFloat32 = 0,
  kBFloat16 = 1,
  kLog8 = 2,  ///< powers of 2^(1/8), up to about 3.1e38; larger elements are clipped to that
};

struct Quantizer {
  Method method = Method::kLevels;
  Norm norm = Norm::kL2;
  unsigned levels = 4;              ///< 1 to kMostLevels
  std::uint64_t bucket_size = 512;  ///< number of elements that share a scale; 0: all
  float deviations = 2.5f;
  bool stochastic = true;  ///< levels: round at random, without bias; false: to nearest
  ScaleType scale_type = ScaleType::kLog8;
};

/// Error feedback: gamma * gradient + beta * residual is quantized, and what quantizing loses
/// becomes the next residual. Both arrays have as many elements as the gradient.
struct Feedback {
  float* residual = nullptr;  ///< null: no error feedback
  float beta = 1;
  float gamma = 1;
  /// Receives the next residual, and `residual` stays unchanged; null: `residual` is overwritten.
  float* next = nullptr;
};

struct GradientOptions {
  Quantizer quantizer;
  Options codec;
  std::uint64_t stream = 0;  ///< selects the random numbers; use another for each tensor and step
  bool zero_nonfinite = false;  ///< treat NaN and infinity as 0; false: they are an error
  Feedback feedback;
};

/// Upper bound on the size in bytes of a gradient frame.
std::size_t max_gradient_frame_size(const GradientView& gradient, const GradientOptions& options);

/// Writes one gradient frame to `out`, which needs max_gradient_frame_size() bytes, and returns its
/// size. If an element is not finite, throws std::invalid_argument, which names the first one, and
/// leaves the residual unchanged.
std::size_t compress_gradient(const GradientView& gradient, const GradientOptions& options,
                              std::span<std::uint8_t> out);

/// A gradient that the caller has quantized: element i is levels[i] * the scale of its bucket.
struct LevelsView {
  std::variant<const std::int8_t*, const std::int16_t*> levels;
  std::span<const std::uint64_t> shape;  ///< of the gradient, whose type was `type`
  FloatType type = FloatType::kFloat32;
  std::span<const float> scales;  ///< one per bucket, finite and not negative
  std::uint64_t bucket_size = 0;  ///< number of elements that share a scale; 0: all
};

/// Like the functions above, for levels and scales of the caller, which are sent as they are.
/// Throws std::invalid_argument if the scales are not valid, or not one per bucket.
std::size_t max_levels_frame_size(const LevelsView& gradient);
std::size_t compress_levels(const LevelsView& gradient, const Options& codec,
                            std::span<std::uint8_t> out);

/// Some elements of a gradient: ascending indices, and their values.
struct SparseView {
  std::span<const std::uint64_t> shape;  ///< of the whole gradient, whose type is `type`
  FloatType type = FloatType::kFloat32;
  std::span<const std::uint32_t> indices;
  const float* values = nullptr;
  /// If set, the indices are random_indices() of this stream and are not sent.
  std::optional<std::uint64_t> random_stream = std::nullopt;
};

/// Like compress_gradient, for some elements of a gradient. `options` apply to their values; with
/// kPlanes, these are sent as `value_type`. `sent`, unless null, receives the values as the
/// receiver will decode them.
std::size_t max_sparse_frame_size(const SparseView& gradient, const GradientOptions& options);
std::size_t compress_sparse(const SparseView& gradient, FloatType value_type,
                            const GradientOptions& options, std::span<std::uint8_t> out,
                            float* sent = nullptr);

/// What a gradient frame says about itself.
struct GradientInfo {
  Method method = Method::kLevels;
  FloatType type = FloatType::kFloat32;
  std::vector<std::uint64_t> shape;
  std::uint64_t count = 0;  ///< number of elements
  std::uint64_t sent = 0;   ///< number of elements that are not left out
};
GradientInfo inspect_gradient(std::span<const std::uint8_t> frame);

/// Sets out = scale * gradient or, if `add`, out += scale * gradient. `out` has as many elements as
/// the gradient. Decodes chunk by chunk, without a temporary array of the full size. Checksums are
/// verified before anything is written.
void decompress_gradient(std::span<const std::uint8_t> frame, std::span<float> out, bool add,
                         float scale, int threads = 0);

/// Sets out = the sum of scales[k] * the gradient in frames[k], added in order. The result has the
/// same bits as one decompress_gradient after the other, but `out` is traversed only once for many
/// frames that hold levels with the same buckets and chunks. All checksums are verified before
/// anything is written. Messages of errors begin with the frame: "frames[3]: ". The memory that
/// this takes does not grow with the number of frames.
void decompress_sum(std::span<const std::span<const std::uint8_t>> frames, std::span<float> out,
                    std::span<const float> scales, int threads = 0);

/// How levels stand for floats: element i is levels[i] * units[i / bucket_size].
struct LevelUnits {
  std::vector<float> units;
  std::uint64_t bucket_size = 1;
};

/// Decodes a frame of kLevels (int16: of kWideLevels) without making floats of the levels, for
/// callers that do so elsewhere. Setting each element of an array to its level times unit, or
/// adding that product, rounded to float, to it if `add`, gives the bits of decompress_gradient
/// with the same `add` and `scale`. For that, a unit may be -0.
LevelUnits decompress_levels(std::span<const std::uint8_t> frame, std::span<std::int8_t> levels,
                             bool add, float scale, int threads = 0);
LevelUnits decompress_levels(std::span<const std::uint8_t> frame, std::span<std::int16_t> levels,
                             bool add, float scale, int threads = 0);

/// Decodes the exact elements of a frame of kPlanes, in the type of the gradient.
void decompress_exactly(std::span<const std::uint8_t> frame, std::span<std::uint8_t> out,
                        int threads = 0);

/// Sets out = gamma * gradient + beta * residual, for the memories of sparsifiers; infinite results
/// become the largest finite float. `out` may be `residual`.
void combine(std::span<const float> gradient, float gamma, float beta,
             std::span<const float> residual, std::span<float> out);

/// Quantizes without a codec: writes one int8 for each element (signs: -1, 0 or 1) to `levels`, and
/// the scales to `scales`: one per bucket, or two with kTwoMeans; for kPowers only the value of
/// level 1; for kOne none. kLevels with more than kMostNarrowLevels levels take int16, all others
/// int8.
void quantize(const GradientView& gradient, const GradientOptions& options, std::int8_t* levels,
              std::vector<float>& scales);
void quantize(const GradientView& gradient, const GradientOptions& options, std::int16_t* levels,
              std::vector<float>& scales);

}  // namespace gradwire
