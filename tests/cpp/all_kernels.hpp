#pragma once

#include <algorithm>
#include <vector>

#include "gradwire/runtime.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {

#ifdef GRADWIRE_HAS_X86_KERNELS
const Kernels& emulated_avx512_kernels();  // avx512_emulated.cpp; needs AVX2 and BMI2
#endif

/// The kernels that run here, the scalar ones, which are the reference, first.
inline std::vector<const Kernels*> all_kernels() {
  std::vector<const Kernels*> all = {&kScalarKernels};
#ifdef GRADWIRE_HAS_X86_KERNELS
  const auto available = available_isas();
  const auto runs = [&](const char* isa) {
    return std::find(available.begin(), available.end(), isa) != available.end();
  };
  if (runs("avx2")) all.insert(all.end(), {&kAvx2Kernels, &emulated_avx512_kernels()});
  if (runs("avx512")) all.push_back(&avx512_kernels());
#endif
  return all;
}

}  // namespace gradwire
