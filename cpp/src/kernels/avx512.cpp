// Built with the AVX-512 flags of cpp/cmake/kernels.cmake, including the AVX2 kernels.

#include "kernels.hpp"
#include "x86/avx2_table.inl.hpp"
#include "x86/avx512_map_bytes.inl.hpp"
#include "x86/avx512_tokens.inl.hpp"
#include "x86/avx512_words.inl.hpp"

namespace gradwire {

namespace {

constexpr Kernels make_avx512_kernels() {
  Kernels kernels = make_avx2_kernels();
  kernels.name = "avx512";
  kernels.bytes.map_bytes = avx512_map_bytes;
  kernels.tokens.tokenize = tokenize<Avx512TokenSteps>;
  kernels.pivot = kPivotKernels<Avx512Words>;
  return kernels;
}

}  // namespace

const Kernels kAvx512Kernels = make_avx512_kernels();

}  // namespace gradwire
