#pragma once

#include <vector>

#include "codecs/entropy/token_book.hpp"

inline constexpr std::size_t kTokenChunk = std::size_t{1} << 20;

/// The tokens that are fitted to a sequence of bytes.
struct Tokens {
  using Bytes = std::vector<std::uint8_t>;

  explicit Tokens(const Bytes& sample) {
    const auto fitted = gradwire::make_token_book(sample, gradwire::count_bytes(sample), {});
    const auto& symbols = fitted.book.symbols;
    table = gradwire::token_table(symbols);
    for (std::size_t i = 0; i < symbols.size(); ++i) {
      const std::uint64_t run = symbols[i].run;
      expand.entry[i] =
          static_cast<std::uint32_t>(gradwire::byte_of(symbols[i]) | (run - 1) << 8 | run << 16);
    }
  }

  Bytes of(const Bytes& bytes) const {
    const gradwire::Blocks blocks{bytes.data(), nullptr, bytes.size()};
    Bytes tokens(bytes.size() + gradwire::kSpareTokens);
    std::vector<std::uint32_t> unknown(bytes.size());
    const auto counts =
        gradwire::kScalarKernels.tokens.tokenize(&table, &blocks, tokens.data(), unknown.data());
    tokens.resize(counts.tokens);
    return tokens;
  }

  gradwire::TokenTable table;
  gradwire::ExpandTable expand{};
};
