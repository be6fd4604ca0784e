// Kernels of bytes and of elements as bytes, over arrays larger than a core's cache.

#include <benchmark/benchmark.h>

#include <cstring>
#include <memory>

#include "base/byte_tables.hpp"
#include "kernel_rows.hpp"

namespace {

using namespace gradwire;

constexpr std::size_t kElements = std::size_t{1} << 23;

/// The first elements of a data set, as integers of some width, and room for as many.
struct Array {
  Array(const std::vector<DataSet>& sets, const std::string& name, std::size_t width_of_elements)
      : width(width_of_elements), bytes(first_bytes(sets, name, kElements)) {
    Bytes wide(bytes.size() * width);
    kScalarKernels.bytes.widen(bytes.data(), bytes.size(), 0, 0, width, wide.data());
    elements = wide;
    out = std::move(wide);
    std::vector<std::uint8_t> used;
    for (unsigned byte = 0; byte < 256; ++byte) {
      map.to[byte] = static_cast<std::uint8_t>(7 * byte);
      const auto value = static_cast<std::uint8_t>(byte);
      if (std::memchr(bytes.data(), value, bytes.size()) != nullptr) used.push_back(value);
    }
    set = byte_set(used);
    set_rows(map, used);
  }

  std::size_t width;
  Bytes bytes;
  Bytes elements;
  Bytes out;
  ByteSet set{};
  ByteMap map{};
};

/// `call` gets an array and where a piece of it begins, in elements.
template <typename Call>
void add(const std::vector<DataSet>& sets, const char* kernel, const std::string& name,
         std::size_t width, Call call) {
  const std::string data = width == 1 ? name : name + "_int" + std::to_string(8 * width);
  add_rows(kernel, data, [=, &sets] {
    const auto array = std::make_shared<Array>(sets, name, width);
    return Work{array->elements.size(), [=](const Kernels& kernels) {
                  for (std::size_t i = 0; i + kPiece <= array->bytes.size(); i += kPiece) {
                    call(kernels.bytes, *array, i);
                  }
                }};
  });
}

}  // namespace

void add_byte_rows(const std::vector<DataSet>& sets) {
  for (const char* name : {"tern95", "qsgd4", "geo64", "gauss20"}) {
    add(sets, "bytes.histogram", name, 1, [](const ByteKernels& k, Array& a, std::size_t i) {
      std::uint64_t counts[256] = {};
      k.histogram(a.bytes.data() + i, kPiece, counts);
      benchmark::DoNotOptimize(counts);
    });
    add(sets, "bytes.map_bytes", name, 1, [](const ByteKernels& k, Array& a, std::size_t i) {
      k.map_bytes(&a.map, a.bytes.data() + i, kPiece, a.out.data() + i);
    });
  }
  add(sets, "bytes.find_outside", "geo64", 1, [](const ByteKernels& k, Array& a, std::size_t i) {
    benchmark::DoNotOptimize(k.find_outside(&a.set, a.bytes.data() + i, kPiece));
  });
  add(sets, "bytes.crc32c", "geo64", 1, [](const ByteKernels& k, Array& a, std::size_t i) {
    benchmark::DoNotOptimize(k.crc32c(0, a.bytes.data() + i, kPiece));
  });
  for (const std::size_t width : {1, 2, 4, 8}) {
    add(sets, "bytes.run_starts", "tern95", width,
        [](const ByteKernels& k, Array& a, std::size_t i) {
          constexpr std::size_t kFew = 4096;  // as the coders of runs do
          std::uint16_t starts[kFew + 8];
          for (std::size_t j = i; j < i + kPiece; j += kFew) {
            const std::uint8_t* const elements = a.elements.data() + j * a.width;
            benchmark::DoNotOptimize(k.run_starts(elements, kFew, a.width, starts));
          }
        });
    add(sets, "bytes.narrow", "geo64", width, [](const ByteKernels& k, Array& a, std::size_t i) {
      k.narrow(a.elements.data() + i * a.width, kPiece, a.width, 3, a.out.data() + i);
    });
    add(sets, "bytes.widen", "geo64", width, [](const ByteKernels& k, Array& a, std::size_t i) {
      k.widen(a.bytes.data() + i, kPiece, 3, 3, a.width, a.out.data() + i * a.width);
    });
    add(sets, "bytes.range", "geo64", width, [](const ByteKernels& k, Array& a, std::size_t i) {
      std::uint64_t range[2] = {~std::uint64_t{0}, 0};
      k.range(a.elements.data() + i * a.width, kPiece, a.width, 128, range);
      benchmark::DoNotOptimize(range);
    });
  }
}
