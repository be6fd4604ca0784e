// Kernels of blocks, classes and tokens.

#include <memory>

#include "codecs/entropy/block_classes.hpp"
#include "kernel_rows.hpp"
#include "tokens.hpp"

namespace {

using namespace gradwire;

constexpr std::size_t kBytesInAll = std::size_t{1} << 23;

/// A data set, and the tokens of its first chunk: of all its blocks, and of every other one.
struct Sequence {
  explicit Sequence(Bytes of_set)
      : bytes(std::move(of_set)),
        code(Bytes(bytes.begin(), bytes.begin() + kTokenChunk)),
        out(bytes.size()),
        room(kTokenChunk + kSpareTokens),
        unknown(kTokenChunk) {
    Bytes every_other;
    for (std::uint32_t b = 0; b < kTokenChunk / kBlockSize; b += 2) {
      numbers.push_back(b);
      const auto begin = bytes.begin() + b * std::ptrdiff_t{kBlockSize};
      every_other.insert(every_other.end(), begin, begin + kBlockSize);
    }
    tokens[false] = code.of(Bytes(bytes.begin(), bytes.begin() + kTokenChunk));
    tokens[true] = code.of(every_other);
  }

  std::size_t chunk_bytes(bool some_blocks) const {
    return some_blocks ? numbers.size() * kBlockSize : kTokenChunk;
  }
  const std::uint32_t* numbers_if(bool some_blocks) const {
    return some_blocks ? numbers.data() : nullptr;
  }
  void tokenize(const TokenKernels& kernels, std::size_t begin, bool some_blocks) {
    const Blocks blocks{bytes.data() + begin, numbers_if(some_blocks), chunk_bytes(some_blocks)};
    kernels.tokenize(&code.table, &blocks, room.data(), unknown.data());
  }
  void expand(const TokenKernels& kernels, std::size_t begin, bool some_blocks) {
    const OutBlocks blocks{out.data() + begin, numbers_if(some_blocks), chunk_bytes(some_blocks)};
    kernels.expand(&code.expand, tokens[some_blocks].data(), tokens[some_blocks].size(), &blocks);
  }

  Bytes bytes;
  Tokens code;
  Bytes out;
  Bytes room;
  std::vector<std::uint32_t> unknown;
  std::vector<std::uint32_t> numbers;
  Bytes tokens[2];
};

template <typename Call>
void add(const std::vector<DataSet>& sets, const char* kernel, const std::string& name,
         bool some_blocks, Call call) {
  add_rows(kernel, some_blocks ? name + "_some_blocks" : name, [=, &sets] {
    const auto sequence = std::make_shared<Sequence>(first_bytes(sets, name, kBytesInAll));
    const std::size_t chunks = sequence->bytes.size() / kTokenChunk;
    return Work{chunks * sequence->chunk_bytes(some_blocks), [=](const Kernels& kernels) {
                  for (std::size_t i = 0; i < chunks; ++i) {
                    call(kernels.tokens, *sequence, i * kTokenChunk, some_blocks);
                  }
                }};
  });
}

/// Blocks of all data sets in turn, so that there are several classes.
struct Mixture {
  explicit Mixture(const std::vector<DataSet>& sets) {
    std::vector<Bytes> of_sets;
    for (const char* name : {"tern995", "tern95", "qsgd4", "qsgd127", "gauss20"}) {
      of_sets.push_back(first_bytes(sets, name, kTokenChunk));
    }
    for (std::size_t i = 0; i + kBlockSize <= kTokenChunk; i += kBlockSize) {
      for (const Bytes& set : of_sets) {
        const auto begin = set.begin() + static_cast<std::ptrdiff_t>(i);
        bytes.insert(bytes.end(), begin, begin + kBlockSize);
      }
    }
    signs = block_signs(bytes);
    groups = even_groups(count_bytes(bytes));
    counts = block_groups(groups, bytes);
    by_sign = fit_block_classes(signs, 1);
    by_groups = fit_block_classes(counts, group_of(groups, 0), 1);
    classes.resize(signs.size());
  }

  Bytes bytes;
  std::vector<BlockSigns> signs;
  ByteGroups groups;
  std::vector<BlockGroups> counts;
  ClassCosts by_sign;
  GroupCosts by_groups;
  Bytes classes;
};

template <typename Call>
void add_mixed(const std::vector<DataSet>& sets, const char* kernel, Call call) {
  add_rows(kernel, "mixed", [=, &sets] {
    const auto mixture = std::make_shared<Mixture>(sets);
    return Work{mixture->bytes.size(),
                [=](const Kernels& kernels) { call(kernels.tokens, *mixture); }};
  });
}

}  // namespace

void add_token_rows(const std::vector<DataSet>& sets) {
  for (const char* name : {"qsgd4", "tern95", "tern995"}) {
    for (const bool some_blocks : {false, true}) {
      add(sets, "tokens.tokenize", name, some_blocks,
          [](const TokenKernels& k, Sequence& s, std::size_t i, bool some) {
            s.tokenize(k, i, some);
          });
      add(sets, "tokens.expand", name, some_blocks,
          [](const TokenKernels& k, Sequence& s, std::size_t i, bool some) {
            s.expand(k, i, some);
          });
    }
  }
  add_mixed(sets, "tokens.block_signs", [](const TokenKernels& k, Mixture& m) {
    k.block_signs(m.bytes.data(), m.bytes.size(), m.signs.data());
  });
  add_mixed(sets, "tokens.block_groups", [](const TokenKernels& k, Mixture& m) {
    k.block_groups(&m.groups, m.bytes.data(), m.bytes.size(), m.counts.data());
  });
  add_mixed(sets, "tokens.cheapest_classes", [](const TokenKernels& k, Mixture& m) {
    k.cheapest_classes(&m.by_sign, m.signs.data(), m.signs.size(), m.classes.data());
  });
  add_mixed(sets, "tokens.cheapest_by_groups", [](const TokenKernels& k, Mixture& m) {
    k.cheapest_by_groups(&m.by_groups, m.counts.data(), m.counts.size(), m.classes.data());
  });
}
