#include <stdexcept>
#include <string>

#include "codecs/codec_table.hpp"

namespace gradwire {
namespace {

/// THE table. A new codec has a file that defines its row, which is listed here at the index of its
/// number.
const Codec* const kCodecs[] = {
    &kRunLengthCodec,
    &kHuffmanCodec,
    &kEliasOmegaCodec,
    &kSampleHuffmanCodec,
    &kSampleHuffmanSparsityCodec,
    &kRunLengthHuffmanCodec,
    &kEntropyCodec,
};

}  // namespace

const Codec* find_codec(std::uint8_t id) { return id < std::size(kCodecs) ? kCodecs[id] : nullptr; }

std::span<const CodecInfo> codecs() {
  static const auto infos = [] {
    std::vector<CodecInfo> all;
    for (const Codec* codec : kCodecs) all.push_back(codec->info);
    return all;
  }();
  return infos;
}

CodecId codec_by_key(std::string_view key) {
  std::string known;
  for (const CodecInfo& info : codecs()) {
    if (info.key == key) return info.id;
    known += (known.empty() ? "" : ", ") + std::string(info.key);
  }
  throw std::invalid_argument("unknown codec '" + std::string(key) + "'; take one of: " + known);
}

}  // namespace gradwire
