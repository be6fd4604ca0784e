// Kernels of code words: one chunk of symbols, as frames have them.

#include <memory>

#include "coded_chunk.hpp"
#include "kernel_rows.hpp"
#include "tokens.hpp"

namespace {

using namespace gradwire;

template <typename Call>
void add(const std::vector<DataSet>& sets, const char* kernel, const std::string& name,
         bool by_tokens, Call call) {
  add_rows(kernel, by_tokens ? name + "_tokens" : name, [=, &sets] {
    const Bytes bytes = first_bytes(sets, name, by_tokens ? kTokenChunk : kTokenChunk / 4);
    const auto chunk = std::make_shared<CodedChunk>(by_tokens ? Tokens(bytes).of(bytes) : bytes);
    return Work{chunk->data.size(), [=](const Kernels& kernels) { call(kernels.codes, *chunk); }};
  });
}

}  // namespace

void add_code_rows(const std::vector<DataSet>& sets) {
  const auto add_both = [&](const char* name, bool by_tokens) {
    add(sets, "codes.encode_bytes", name, by_tokens,
        [](const CodeKernels& k, CodedChunk& chunk) { chunk.encode(k); });
    add(sets, "codes.decode_bytes", name, by_tokens,
        [](const CodeKernels& k, CodedChunk& chunk) { chunk.decode(k); });
  };
  for (const char* name : {"qsgd4", "tern95"}) add_both(name, true);
  for (const char* name : {"geo64", "qsgd127", "gauss20"}) add_both(name, false);
}
