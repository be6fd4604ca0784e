// Any array with any options comes back as it was.

#include <cstdint>
#include <cstdlib>
#include <vector>

#include "gradwire/gradwire.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) return 0;
  gradwire::Options options;
  options.codec = gradwire::codecs()[data[0] % gradwire::codecs().size()].id;
  options.checksum = data[0] & 0x80;
  options.sample_size = 1 + data[1] % 8;
  options.max_run = 1 + data[1] / 8;
  const auto dtype = static_cast<gradwire::DType>(data[2] % gradwire::kDTypeCount);
  const std::size_t repeats = std::size_t{1} << (data[3] % 8);
  const std::size_t width = gradwire::item_size(dtype);

  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 4; i + width <= size; i += width) {
    for (std::size_t r = 0; r < repeats; ++r) bytes.insert(bytes.end(), data + i, data + i + width);
  }
  if (dtype == gradwire::DType::kBool) {
    for (std::uint8_t& byte : bytes) byte &= 1;
  }
  const std::uint64_t shape[1] = {bytes.size() / width};
  const gradwire::ArrayView array{bytes.data(), dtype, shape};
  std::vector<std::uint8_t> frame(gradwire::max_compressed_size(array));
  frame.resize(gradwire::compress_into(array, options, frame));
  if (frame.size() > bytes.size() + bytes.size() / 1000 + 64) std::abort();
  std::vector<std::uint8_t> back(bytes.size(), 255);
  gradwire::decompress_into(frame, back, 1);
  if (back != bytes) std::abort();
  return 0;
}
