// Any bytes whatsoever as a shared code book: it is refused, or any array comes back as it was.

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "gradwire/gradwire.hpp"

// The input: the size of the code book in 2 bytes, the code book, and elements.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t book_size = std::min<std::size_t>(data[0] + 256u * data[1], size - 2);
  const std::span<const std::uint8_t> book(data + 2, book_size);
  gradwire::Options options;
  try {
    options.code_book = gradwire::SharedCodeBook::read(book);
  } catch (const gradwire::Error&) {
    return 0;
  }
  const auto dtype = static_cast<gradwire::DType>(book[3]);
  const std::size_t width = gradwire::item_size(dtype);
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 2 + book_size; i + width <= size; i += width) {
    const std::size_t repeats = data[i] % 4 == 0 ? 200 : 1;
    for (std::size_t r = 0; r < repeats; ++r) bytes.insert(bytes.end(), data + i, data + i + width);
  }
  if (dtype == gradwire::DType::kBool) {
    for (std::uint8_t& byte : bytes) byte &= 1;
  }
  const std::uint64_t shape[1] = {bytes.size() / width};
  const gradwire::ArrayView array{bytes.data(), dtype, shape};
  std::vector<std::uint8_t> frame(gradwire::max_compressed_size(array));
  frame.resize(gradwire::compress_into(array, options, frame));
  std::vector<std::uint8_t> back(bytes.size(), 255);
  gradwire::decompress_into(frame, back, 1);
  if (back != bytes) std::abort();
  return 0;
}
