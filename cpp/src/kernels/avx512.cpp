// Built with the AVX-512 flags of cpp/cmake/kernels.cmake. What this table does not override are
// the functions of the AVX2 file: compiled again with AVX-512 flags, some are slower.

#include "generic/pivot.inl.hpp"
#include "kernels.hpp"
#include "x86/avx512_crc32c.inl.hpp"
#include "x86/avx512_encode_bytes.inl.hpp"
#include "x86/avx512_expand.inl.hpp"
#include "x86/avx512_floats.inl.hpp"
#include "x86/avx512_histogram.inl.hpp"
#include "x86/avx512_map_bytes.inl.hpp"
#include "x86/avx512_places.inl.hpp"
#include "x86/avx512_quantize.inl.hpp"
#include "x86/avx512_tokens.inl.hpp"
#include "x86/avx512_words.inl.hpp"

namespace gradwire {

const Kernels& avx512_kernels() {
  static const Kernels kernels = [] {
    Kernels changed = kAvx2Kernels;
    changed.name = "avx512";
    changed.bytes.histogram = avx512_histogram;
    changed.bytes.crc32c = avx512_crc32c;
    changed.bytes.map_bytes = avx512_map_bytes;
    changed.bytes.run_starts = avx512_run_starts;
    changed.codes.encode_bytes = avx512_encode_bytes;
    changed.tokens.expand = avx512_expand;
    changed.tokens.tokenize = tokenize<Avx512TokenSteps>;
    changed.bins.find_others = avx512_find_others;
    changed.pivot = kPivotKernels<Avx512Words>;
    changed.floats.levels.quantize = avx512_quantize<int8_t>;
    changed.floats.wide_levels.quantize = avx512_quantize<int16_t>;
    changed.floats.signs = avx512_signs;
    changed.floats.from_signs = avx512_from_signs;
    changed.floats.to_powers = avx512_to_powers;
    return changed;
  }();
  return kernels;
}

}  // namespace gradwire
