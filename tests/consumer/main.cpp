// A program that uses the installed C++ library.

#include <gradwire/gradwire.hpp>

#include <cstdio>
#include <vector>

int main() {
  std::vector<std::int16_t> levels(100'000);
  for (std::size_t i = 0; i < levels.size(); i += 17) levels[i] = i % 3 ? 1 : -1;
  const std::uint64_t shape[1] = {levels.size()};
  const gradwire::ArrayView array{levels.data(), gradwire::DType::kInt16, shape};

  std::vector<std::uint8_t> frame(gradwire::max_compressed_size(array));
  frame.resize(gradwire::compress_into(array, {}, frame));
  std::vector<std::int16_t> back(levels.size());
  gradwire::decompress_into(
      frame, {reinterpret_cast<std::uint8_t*>(back.data()), back.size() * sizeof(back[0])});
  std::printf("%zu bytes -> %zu bytes, %s\n", levels.size() * 2, frame.size(),
              back == levels ? "lossless" : "WRONG");
  return back == levels ? 0 : 1;
}
