#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace gradwire {

/// The codecs; frames store these numbers (FORMAT.md, section 2).
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
  int threads = 0;                   ///< maximum number; 0: the process-wide default
  bool checksum = true;              ///< end the frame with its CRC-32C
  std::uint32_t sample_size = 1000;  ///< sh, shs: places to sample, 64 elements at each
  std::uint64_t seed = 0;            ///< sh, shs: seed for choosing the places
  std::uint32_t max_run = 200;       ///< shs: most zeros that one symbol stands for, 1 to 4096
  /// entropy: a shared code book. Frames of arrays that it fits name it; other frames carry a code
  /// book.
  std::shared_ptr<const SharedCodeBook> code_book = nullptr;
};

struct CodecInfo {
  CodecId id;
  std::string_view key;         ///< short name: "rle", "huffman", ...
  std::string_view class_name;  ///< name of the Python class
};

/// All codecs, in the order of their numbers.
std::span<const CodecInfo> codecs();

/// The codec with this key. If there is none, throws std::invalid_argument, which lists the known
/// keys.
CodecId codec_by_key(std::string_view key);

}  // namespace gradwire
