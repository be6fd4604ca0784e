#include <stdexcept>
#include <string>

#include "base/byte_io.hpp"
#include "frame/frame_header.hpp"
#include "frame/frame_writer.hpp"
#include "gradwire/error.hpp"
#include "gradwire/frame.hpp"

namespace gradwire {

std::size_t max_compressed_size(const ArrayView& array) {
  constexpr std::size_t kMaxVarint = 10;
  const std::uint64_t count = element_count(array.shape, array.dtype);
  const std::size_t chunks = chunk_count(count);
  std::vector<std::uint8_t> shape;
  for (const std::uint64_t dimension : array.shape) append_varint(shape, dimension);
  constexpr std::size_t kCodeBookSize = kMaxVarint;
  const std::size_t fixed = kFixedHeaderBytes + kCodeBookSize + kMaxVarint + kChecksumBytes;
  return fixed + shape.size() + chunks * (kChunkEntryBytes + kMaxVarint) +
         static_cast<std::size_t>(count) * item_size(array.dtype);
}

std::size_t compress_into(const ArrayView& array, const Options& options,
                          std::span<std::uint8_t> out) {
  if (array.shape.size() > kMaxDimensions) {
    throw std::invalid_argument("an array may have at most 64 dimensions, not " +
                                std::to_string(array.shape.size()));
  }
  const auto* bytes = static_cast<const std::uint8_t*>(array.data);
  if (array.dtype == DType::kBool && !are_bools(bytes, element_count(array.shape, array.dtype))) {
    throw std::invalid_argument("an element of the bool array is neither 0 nor 1");
  }
  const std::size_t needed = max_compressed_size(array);
  if (out.size() < needed) {
    throw BufferTooSmallError("the buffer has " + std::to_string(out.size()) +
                              " bytes, but compression may need " + std::to_string(needed));
  }
  return FrameWriter(array, options, out).write();
}

}  // namespace gradwire
