#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace gradwire {

/// The codecs; the numbers stand in the frame (FORMAT.md, section 2).
enum class CodecId : std::uint8_t {
  kRunLength = 0,
  kHuffman = 1,
  kEliasOmega = 2,
  kSampleHuffman = 3,
  kSampleHuffmanSparsity = 4,
  kRunLengthHuffman = 5,
  kEntropy = 6,
};

class SharedCodeBook;

/// How to compress. A decoder needs none of this: frames describe themselves.
struct Options {
  CodecId codec = CodecId::kEntropy;
  int threads = 0;                   ///< at most this many; 0: the process-wide default
  bool checksum = true;              ///< end the frame with its CRC-32C
  std::uint32_t sample_size = 1000;  ///< sh, shs: sampled places, a cache line of symbols each
  std::uint64_t seed = 0;            ///< sh, shs: chooses the places
  std::uint32_t max_run = 200;       ///< shs: longest run of zeros that is one symbol, at most
  /// entropy: to be named by the frames of arrays that it fits; others carry one of their own.
  std::shared_ptr<const SharedCodeBook> code_book = nullptr;
};

struct CodecInfo {
  CodecId id;
  std::string_view key;         ///< short name: "rle", "huffman", ...
  std::string_view class_name;  ///< name of the Python class
};

/// Every codec, in the order of its number.
std::span<const CodecInfo> codecs();

/// The codec with this key. Throws std::invalid_argument that lists the known keys.
CodecId codec_by_key(std::string_view key);

}  // namespace gradwire
