#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <string_view>

#include "all_kernels.hpp"
#include "base/byte_tables.hpp"
#include "prefix/code_lengths.hpp"
#include "prefix/prefix_code.hpp"
#include "random.hpp"

using namespace gradwire;

namespace {

struct Coder {
  explicit Coder(const std::vector<std::uint8_t>& data, std::uint64_t to_write = 10000) {
    std::uint64_t counts[256] = {};
    for (const auto byte : data) ++counts[byte];
    std::vector<std::uint64_t> weights;
    for (unsigned s = 0; s < 256; ++s) {
      if (counts[s] == 0) continue;
      bytes.push_back(static_cast<std::uint8_t>(s));
      weights.push_back(counts[s]);
    }
    const PrefixCode code(code_lengths(weights, kSmallCode), data.size());
    encode = code.byte_encode_table(bytes, to_write);
    decode = code.byte_decode_table(bytes);
  }
  std::vector<std::uint8_t> bytes;
  std::unique_ptr<OwnedEncodeTable> encode;
  std::unique_ptr<ByteDecodeTable> decode;
};

std::vector<std::uint8_t> code_words(const Kernels& kernels, const Coder& coder,
                                     const std::vector<std::uint8_t>& data) {
  std::vector<std::uint8_t> out(data.size() * 3 + 16);
  const std::size_t bits = kernels.codes.encode_bytes(coder.encode.get(), data.data(), data.size(),
                                                      out.data(), out.data() + out.size());
  REQUIRE(bits != SIZE_MAX);
  out.resize((bits + 7) / 8);
  return out;
}

}  // namespace

TEST_CASE("code words of bytes in few rows, and of bytes without one, are the same everywhere") {
  constexpr std::uint8_t kInverse = 173;  // of the 37 that skewed_bytes multiplies by
  for (const double factor : {1.0, 0.97, 0.8}) {
    for (const unsigned alphabet : {9u, 17u, 64u, 128u, 256u}) {
      for (const std::size_t size : {31u, 32u, 1000u, 50000u}) {
        INFO("factor ", factor, ", ", alphabet, " symbols, ", size, " bytes");
        auto data = skewed_bytes(size, factor, 11, alphabet);
        for (auto& byte : data) byte = static_cast<std::uint8_t>(byte * kInverse + 240);
        const Coder coder(data);
        for (std::size_t i = 0; i < size; i += 97) data[i] = static_cast<std::uint8_t>(i * 5);
        const std::vector<std::uint8_t> reference = code_words(kScalarKernels, coder, data);
        for (const Kernels* kernels : all_kernels()) {
          CHECK(code_words(*kernels, coder, data) == reference);
        }
        if (size == 50000 && factor < 0.9 && gradwire::kernels().codes.encodes_rows) {
          CHECK(coder.encode->rows != nullptr);
        }
      }
    }
  }
}

TEST_CASE("rows of code words are those that have the symbols") {
  if (!gradwire::kernels().codes.encodes_rows) return;
  std::vector<std::uint8_t> data(50'000);
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::uint8_t>(i % 32 + 240);
  const Coder coder(data);
  REQUIRE(coder.encode->rows != nullptr);
  CHECK(coder.encode->rows->rows == 2);
  CHECK(coder.encode->rows->row[0] + coder.encode->rows->row[1] == 15);  // 0 and 15
}

TEST_CASE("each kernel is listed once, in all tables alike") {
  std::set<std::string_view> names;
  for (const NamedKernel& kernel : list_kernels(kScalarKernels)) names.insert(kernel.name);
  for (const Kernels* table : all_kernels()) {
    const auto listed = list_kernels(*table);
    CHECK(listed.size() == names.size());
    for (const NamedKernel& kernel : listed) CHECK((kernel.function != nullptr));
  }
}

void check_histogram(const Kernels& kernels, const std::vector<std::uint8_t>& data) {
  std::uint64_t expected[256] = {};
  for (const auto byte : data) ++expected[byte];
  std::uint64_t counts[256] = {};
  kernels.bytes.histogram(data.data(), data.size(), counts);
  CHECK(std::memcmp(counts, expected, sizeof(counts)) == 0);
}

TEST_CASE("histogram") {
  for (const Kernels* kernels : all_kernels()) {
    for (const double factor : {1.0, 0.9, 0.5, 0.05}) {
      for (const std::size_t size : {0u, 1u, 31u, 1000u, 16384u, 70001u}) {
        check_histogram(*kernels, skewed_bytes(size, factor, 3));
      }
    }
  }
}

TEST_CASE("histogram of few neighbours") {
  for (const Kernels* kernels : all_kernels()) {
    for (const unsigned first : {0u, 5u, 254u, 255u}) {
      for (const std::vector<unsigned>& others :
           {std::vector<unsigned>{}, {1}, {255}, {254, 255}, {1, 2, 3}}) {
        for (const std::size_t size : {700u, 20000u}) {
          std::vector<std::uint8_t> data(size, static_cast<std::uint8_t>(first));
          for (std::size_t i = 0; i < others.size(); ++i) {
            data[1 + i] = data[size - 100 + i] = static_cast<std::uint8_t>(first + others[i]);
          }
          check_histogram(*kernels, data);
          data[size * 2 / 3] = static_cast<std::uint8_t>(first + 100);  // a late one
          check_histogram(*kernels, data);
        }
      }
    }
  }
}

TEST_CASE("crc32c") {
  for (const Kernels* kernels : all_kernels()) {
    const char* digits = "123456789";
    CHECK(kernels->bytes.crc32c(0, reinterpret_cast<const std::uint8_t*>(digits), 9) == 0xE3069283);
    const auto data = skewed_bytes(20000, 0.99, 4);
    for (const std::size_t size :
         {0u, 1u, 7u, 8u, 3071u, 3072u, 3080u, 8191u, 8192u, 9999u, 20000u}) {
      CHECK(kernels->bytes.crc32c(0, data.data(), size) ==
            kScalarKernels.bytes.crc32c(0, data.data(), size));
      const std::uint32_t first = kernels->bytes.crc32c(0, data.data(), size / 3);
      CHECK(kernels->bytes.crc32c(first, data.data() + size / 3, size - size / 3) ==
            kernels->bytes.crc32c(0, data.data(), size));
    }
  }
}

TEST_CASE("run_starts") {
  for (const Kernels* kernels : all_kernels()) {
    for (const double factor : {1.0, 0.3, 0.01}) {
      const auto data = skewed_bytes(8 * 999, factor, 5, 3);
      for (const std::size_t width : {1u, 2u, 4u, 8u}) {
        for (std::size_t count = 0; count <= data.size() / width; count = count * 3 / 2 + 1) {
          std::vector<std::uint16_t> expected;
          for (std::uint16_t i = 0; i < count; ++i) {
            if (i == 0 || std::memcmp(&data[i * width], &data[(i - 1) * width], width) != 0) {
              expected.push_back(i);
            }
          }
          std::vector<std::uint16_t> starts(count + 8);
          starts.resize(kernels->bytes.run_starts(data.data(), count, width, starts.data()));
          CHECK(starts == expected);
        }
      }
    }
  }
}

TEST_CASE("bytes there and back, the same bits everywhere") {
  constexpr std::uint64_t kMany = std::uint64_t{1} << 20;
  std::size_t with_pairs = 0;
  for (const double factor : {1.0, 0.97, 0.9, 0.6, 0.4, 0.1}) {
    for (const unsigned alphabet : {2u, 3u, 8u, 9u, 200u}) {
      for (const std::size_t size : {2u, 7u, 100u, 5000u, 10000u, 100000u}) {
        auto data = skewed_bytes(size, factor, 6, alphabet);
        data[0] = 0;
        data[1] = 37;  // two different symbols at least
        for (const std::uint64_t to_write : {std::uint64_t{size}, kMany}) {
          const Coder coder(data, to_write);
          with_pairs += coder.encode->pair != nullptr;
          const std::vector<std::uint8_t> reference = code_words(kScalarKernels, coder, data);
          for (const Kernels* kernels : all_kernels()) {
            const std::vector<std::uint8_t> out = code_words(*kernels, coder, data);
            CHECK(out == reference);
            std::vector<std::uint8_t> back(size);
            const DecodeStream stream{out.data(), out.data() + out.size(), back.data(),
                                      back.data() + size};
            CHECK(kernels->codes.decode_bytes(coder.decode.get(), &stream, 1,
                                              out.data() + out.size()));
            CHECK(back == data);
          }
        }
      }
    }
  }
  CHECK(with_pairs > 0);
}

TEST_CASE("several streams, of unequal lengths") {
  const auto data = skewed_bytes(50000, 0.8, 7, 60);
  const Coder coder(data);
  const std::size_t cuts[] = {0, 1, 9000, 9001, 30000, 30100, 49000, 50000};
  for (const Kernels* kernels : all_kernels()) {
    std::vector<std::uint8_t> out(data.size() * 3);
    std::vector<std::uint8_t> back(data.size());
    std::vector<DecodeStream> streams;
    std::uint8_t* next = out.data();
    for (std::size_t s = 0; s + 1 < std::size(cuts); ++s) {
      const std::size_t bits =
          kernels->codes.encode_bytes(coder.encode.get(), data.data() + cuts[s],
                                      cuts[s + 1] - cuts[s], next, out.data() + out.size());
      streams.push_back(
          {next, next + (bits + 7) / 8, back.data() + cuts[s], back.data() + cuts[s + 1]});
      next += (bits + 7) / 8;
    }
    CHECK(kernels->codes.decode_bytes(coder.decode.get(), streams.data(), streams.size(), next));
    CHECK(back == data);
    streams.back().in_end -= 1;
    CHECK_FALSE(
        kernels->codes.decode_bytes(coder.decode.get(), streams.data(), streams.size(), next));
  }
}

TEST_CASE("encoding stops before its room ends") {
  const auto data = skewed_bytes(3000, 0.9, 8);
  const Coder coder(data);
  for (const Kernels* kernels : all_kernels()) {
    for (const std::size_t room : {0u, 5u, 64u, 1000u}) {
      std::vector<std::uint8_t> out(room + 64, 0xAA);
      CHECK(kernels->codes.encode_bytes(coder.encode.get(), data.data(), data.size(), out.data(),
                                        out.data() + room) == SIZE_MAX);
      for (std::size_t i = room; i < out.size(); ++i) CHECK(out[i] == 0xAA);
    }
  }
}

TEST_CASE("random bits decode inside their bounds") {
  const Coder with_long_words(skewed_bytes(5000, 0.8, 9, 100));
  const Coder with_six_symbols(skewed_bytes(70'000, 0.8, 9, 5));
  const Coder with_three_symbols(skewed_bytes(70'000, 1.0, 9, 100));
  REQUIRE(with_long_words.decode->has_long_words);
  REQUIRE(!with_six_symbols.decode->has_long_words);
  REQUIRE(!with_six_symbols.decode->few_symbols);
  REQUIRE(!with_three_symbols.decode->has_long_words);
  REQUIRE(with_three_symbols.decode->few_symbols);
  const Coder* const coders[] = {&with_long_words, &with_six_symbols, &with_three_symbols};
  for (const Kernels* kernels : all_kernels()) {
    for (unsigned seed = 0; seed < 300; ++seed) {
      const Coder& coder = *coders[seed % 3];
      const auto noise = skewed_bytes(400, 1.0, seed);
      std::vector<std::uint8_t> back(900, 0xAA);
      const DecodeStream streams[2] = {
          {noise.data(), noise.data() + 200, back.data(), back.data() + 400},
          {noise.data() + 200, noise.data() + 400, back.data() + 400, back.data() + 800}};
      kernels->codes.decode_bytes(coder.decode.get(), streams, 2, noise.data() + noise.size());
      for (std::size_t i = 800; i < back.size(); ++i) CHECK(back[i] == 0xAA);
    }
  }
}

TEST_CASE("the first byte outside a set") {
  const std::vector<std::uint8_t> members = {0, 1, 2, 77, 127, 128, 129, 200, 255};
  const ByteSet set = byte_set(members);
  for (const Kernels* kernels : all_kernels()) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool in_set = std::find(members.begin(), members.end(), byte) != members.end();
      for (const std::size_t place : {0u, 33u, 99u}) {
        std::vector<std::uint8_t> data(100, 128);
        data[place] = static_cast<std::uint8_t>(byte);
        CHECK(kernels->bytes.find_outside(&set, data.data(), data.size()) ==
              (in_set ? 100 : place));
      }
    }
  }
}
