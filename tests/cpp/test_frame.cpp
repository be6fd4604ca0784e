#include <doctest/doctest.h>

#include "base/executor.hpp"
#include "gradwire/gradwire.hpp"
#include "random.hpp"

using namespace gradwire;

TEST_CASE("every codec of the table, through the public interface") {
  const auto data = skewed_bytes(600'000, 0.5, 1, 5);
  const std::uint64_t shape[2] = {600, 1000};
  const ArrayView array{data.data(), DType::kInt8, shape};
  for (const CodecInfo& codec : codecs()) {
    CHECK(codec_by_key(codec.key) == codec.id);
    Options options;
    options.codec = codec.id;
    std::vector<std::uint8_t> frame(max_compressed_size(array));
    frame.resize(compress_into(array, options, frame));
    CHECK(frame.size() < data.size());
    const FrameInfo info = inspect(frame);
    CHECK(info.codec == codec.id);
    CHECK(info.shape == std::vector<std::uint64_t>{600, 1000});
    CHECK(info.nbytes == data.size());
    std::vector<std::uint8_t> back(data.size());
    decompress_into(frame, back);
    CHECK(back == data);
    CHECK_THROWS_AS(decompress_into(frame, std::span(back).first(9)), BufferTooSmallError);
    frame.pop_back();
    CHECK_THROWS_AS(decompress_into(frame, back), TruncatedFrameError);
  }
}

TEST_CASE("the number of threads changes nothing, also where payloads move far") {
  std::vector<std::uint8_t> data(11'000'000);
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] = static_cast<std::uint8_t>(i * i >> 7 & 63);  // 6 of 8 bits
  }
  const std::uint64_t size = data.size();
  const ArrayView array{data.data(), DType::kUInt8, {&size, 1}};
  std::vector<std::uint8_t> frames[4];
  for (const int threads : {1, 2, 3}) {
    Options options;
    options.codec = CodecId::kHuffman;
    options.threads = threads;
    std::vector<std::uint8_t>& frame = frames[threads];
    frame.resize(max_compressed_size(array));
    frame.resize(compress_into(array, options, frame));
    CHECK(frame == frames[1]);
  }
  std::vector<std::uint8_t> back(data.size());
  decompress_into(frames[3], back);
  CHECK(back == data);
}

TEST_CASE("threads that take chunks of others change nothing") {
  // Quick chunks, then slow ones: noise, which is stored raw, and others.
  std::vector<std::uint8_t> data(1'400'000);
  const auto noise = skewed_bytes(400'000, 1, 0);
  const auto skewed = skewed_bytes(400'000, 0.5, 1, 60);
  std::copy(noise.begin(), noise.end(), data.end() - 800'000);
  std::copy(skewed.begin(), skewed.end(), data.end() - 400'000);
  const std::uint64_t size = data.size();
  const ArrayView array{data.data(), DType::kUInt8, {&size, 1}};
  for (const CodecInfo& codec : codecs()) {
    const auto compress = [&](int threads) {
      Options options;
      options.codec = codec.id;
      options.threads = threads;
      std::vector<std::uint8_t> frame(max_compressed_size(array));
      frame.resize(compress_into(array, options, frame));
      return frame;
    };
    const auto wanted = compress(1);
    for (const int threads : {2, 3, 7}) CHECK(compress(threads) == wanted);
    // Inside a parallel region there is one thread for all: it takes the chunks of six others.
    std::vector<std::uint8_t> frames[2];
    for_each(2, 2, [&](std::size_t i) { frames[i] = compress(7); });
    CHECK(frames[0] == wanted);
    CHECK(frames[1] == wanted);
    std::vector<std::uint8_t> back(data.size());
    decompress_into(wanted, back);
    CHECK(back == data);
  }
}

TEST_CASE("wrong arguments") {
  const std::uint64_t shape[1] = {4};
  const ArrayView array{"abc", DType::kUInt8, shape};
  std::uint8_t out[5];
  CHECK_THROWS_AS(compress_into(array, {}, out), BufferTooSmallError);
  CHECK_THROWS_WITH_AS(
      codec_by_key("zip"),
      "unknown codec 'zip'; take one of: rle, huffman, elias, sh, shs, rlh, entropy",
      std::invalid_argument);
  const std::uint64_t huge[2] = {std::uint64_t{1} << 40, std::uint64_t{1} << 40};
  CHECK_THROWS_AS(max_compressed_size({nullptr, DType::kUInt8, huge}), std::length_error);
}

TEST_CASE("code words form a prefix code") {
  const auto data = skewed_bytes(5000, 0.6, 2, 12);
  const std::uint64_t size = data.size();
  Options options;
  options.codec = CodecId::kHuffman;
  std::vector<std::uint8_t> frame(6000);
  frame.resize(compress_into({data.data(), DType::kUInt8, {&size, 1}}, options, frame));
  const auto words = code_words(frame);
  CHECK(words.size() == 12);
  for (const CodeWord& a : words) {
    for (const CodeWord& b : words) CHECK((&a == &b || b.bits.rfind(a.bits, 0) != 0));
  }
}

TEST_CASE("decoded elements are added to wider ones") {
  std::vector<std::uint8_t> levels = skewed_bytes(300'000, 0.5, 11);
  const std::uint64_t shape[1] = {levels.size()};
  const ArrayView array{levels.data(), DType::kInt8, shape};
  std::vector<std::uint8_t> frame(max_compressed_size(array));
  frame.resize(compress_into(array, {}, frame));
  std::vector<std::int32_t> sum(levels.size(), 1000);
  const std::span<std::uint8_t> bytes{reinterpret_cast<std::uint8_t*>(sum.data()), 4 * sum.size()};
  decompress_add(frame, bytes, DType::kInt32);
  decompress_add(frame, bytes, DType::kInt32, 2);
  bool right = true;
  for (std::size_t i = 0; i < sum.size(); ++i) {
    right = right && sum[i] == 1000 + 2 * static_cast<std::int8_t>(levels[i]);
  }
  CHECK(right);
  CHECK_THROWS_AS(decompress_add(frame, bytes.first(8), DType::kInt32), std::invalid_argument);
}

TEST_CASE("a frame that names a shared code book") {
  const auto sample = skewed_bytes(100'000, 0.5, 12);
  const std::uint64_t sample_shape[1] = {sample.size()};
  Options options;
  options.code_book = SharedCodeBook::fit({sample.data(), DType::kInt8, sample_shape});
  const auto levels = skewed_bytes(1000, 0.5, 13);
  const std::uint64_t shape[1] = {levels.size()};
  const ArrayView array{levels.data(), DType::kInt8, shape};
  std::vector<std::uint8_t> frame(max_compressed_size(array));
  frame.resize(compress_into(array, options, frame));
  CHECK(inspect(frame).shared_code_book);
  std::vector<std::uint8_t> back(levels.size());
  decompress_into(frame, back);
  CHECK(back == levels);

  const auto bytes = options.code_book->bytes();
  const std::vector<std::uint8_t> sent(bytes.begin(), bytes.end());
  options.code_book = nullptr;
  CHECK_THROWS_AS(decompress_into(frame, back), MissingCodeBookError);
  const auto received = SharedCodeBook::read(sent);
  decompress_into(frame, back);
  CHECK(back == levels);
}
