#include <string>

#include "code_book.hpp"
#include "frame_header.hpp"
#include "gradwire/frame.hpp"
#include "prefix_code.hpp"
#include "run_length.hpp"

namespace gradwire {

std::vector<CodeWord> code_words(std::span<const std::uint8_t> frame) {
  const ParsedFrame parsed = parse_frame(frame);
  const CodecId id = parsed.codec->info.id;
  if (parsed.code_book.empty() || id == CodecId::kRunLength) return {};
  const bool values_only = id == CodecId::kHuffman || id == CodecId::kSampleHuffman;
  const CodeBook book =
      read_code_book(parsed.code_book, parsed.dtype, values_only ? Runs::kNone : Runs::kListed);
  const PrefixCode code(book.lengths, PrefixCode::Use::kEncode);
  std::vector<CodeWord> words(code.size());
  for (std::size_t i = 0; i < code.size(); ++i) {
    words[i].escape = i == book.symbols.size();
    if (!words[i].escape) {
      words[i].value = sign_extend(from_key(book.symbols[i].key, parsed.dtype), parsed.dtype);
      words[i].run = book.symbols[i].run;
    }
    for (unsigned b = 0; b < code.length(i); ++b)
      words[i].bits += (code.word(i) >> b & 1) ? '1' : '0';
  }
  return words;
}

RunLengthWidths run_length_widths(std::span<const std::uint8_t> frame) {
  const ParsedFrame parsed = parse_frame(frame);
  if (parsed.codec->info.id != CodecId::kRunLength || parsed.code_book.empty()) return {};
  RunLengthWidths widths = read_run_length_widths(parsed.code_book, parsed.dtype);
  widths.minimum = sign_extend(from_key(widths.minimum, parsed.dtype), parsed.dtype);
  return widths;
}

}  // namespace gradwire
