#include "base/elements.hpp"
#include "codecs/loaded_code_book.hpp"
#include "frame/frame_header.hpp"
#include "gradwire/frame.hpp"

namespace gradwire {

std::vector<CodeWord> code_words(std::span<const std::uint8_t> frame) {
  const ParsedFrame parsed = parse_frame(frame);
  if (parsed.code_book.empty() || parsed.codec->code_words == nullptr) return {};
  if (parsed.shared_code_book) {
    const auto book = find_code_book(parsed.code_book, parsed.dtype, parsed.layout);
    return parsed.codec->code_words(book->code_book(), parsed.array());
  }
  return parsed.codec->code_words(parsed.code_book, parsed.array());
}

RunLengthWidths run_length_widths(std::span<const std::uint8_t> frame) {
  const ParsedFrame parsed = parse_frame(frame);
  if (parsed.code_book.empty() || parsed.codec->widths == nullptr) return {};
  RunLengthWidths widths = parsed.codec->widths(parsed.code_book, parsed.dtype);
  widths.minimum = sign_extend(from_key(widths.minimum, parsed.dtype), parsed.dtype);
  return widths;
}

}  // namespace gradwire
