// Any array with any options comes back as it was.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "gradwire/gradwire.hpp"

namespace {

using Bytes = std::vector<std::uint8_t>;

template <typename F>
void for_each_element(Bytes& bytes, std::size_t width, F&& change) {
  for (std::size_t i = 0; i + width <= bytes.size(); i += width) {
    std::uint64_t element = 0;
    std::memcpy(&element, bytes.data() + i, width);
    element = change(element);
    std::memcpy(bytes.data() + i, &element, width);
  }
}

/// Makes arrays for which the forms of entropy are of use (FORMAT.md, section 5.6).
void reshape(Bytes& bytes, std::size_t width, unsigned way) {
  const auto spread = [&](std::uint64_t element) { return element << (8 * width / 3); };
  std::uint64_t sum = 0;
  std::size_t place = 0;
  switch (way) {
    case 1: return for_each_element(bytes, width, [](std::uint64_t e) { return 3 * e; });
    case 2: return for_each_element(bytes, width, [&](std::uint64_t e) { return sum += e & 63; });
    case 3:
      return for_each_element(bytes, width,
                              [&](std::uint64_t e) { return place++ % 16 < (e & 3) ? e : 7; });
    case 4: return for_each_element(bytes, width, spread);
    default: return;
  }
}

}  // namespace

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

  Bytes bytes;
  for (std::size_t i = 4; i + width <= size; i += width) {
    for (std::size_t r = 0; r < repeats; ++r) bytes.insert(bytes.end(), data + i, data + i + width);
  }
  reshape(bytes, width, data[3] / 8 % 8);
  if (dtype == gradwire::DType::kBool) {
    for (std::uint8_t& byte : bytes) byte &= 1;
  }
  const std::uint64_t shape[1] = {bytes.size() / width};
  const gradwire::ArrayView array{bytes.data(), dtype, shape};
  const bool is_shared = data[0] & 0x40;
  if (is_shared && options.codec == gradwire::CodecId::kEntropy && shape[0] > 0) {
    const std::uint64_t part[1] = {std::max<std::uint64_t>(1, shape[0] / 16)};
    options.code_book = gradwire::SharedCodeBook::fit({bytes.data(), dtype, part});
  }
  Bytes frame(gradwire::max_compressed_size(array));
  frame.resize(gradwire::compress_into(array, options, frame));
  if (frame.size() > bytes.size() + bytes.size() / 1000 + 64) std::abort();
  Bytes back(bytes.size(), 255);
  gradwire::decompress_into(frame, back, 1);
  if (back != bytes) std::abort();
  return 0;
}
