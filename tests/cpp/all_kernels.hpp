#pragma once

#include <vector>

#include "kernels/kernel_list.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {

#ifdef GRADWIRE_HAS_X86_KERNELS
const Kernels& emulated_avx512_kernels();  // avx512_emulated.cpp; needs AVX2 and BMI2
#endif

/// The kernels that run here, the scalar ones, which are the reference, first.
inline std::vector<const Kernels*> all_kernels() {
  std::vector<const Kernels*> all = available_kernels();
#ifdef GRADWIRE_HAS_X86_KERNELS
  if (all.size() > 1) all.push_back(&emulated_avx512_kernels());
#endif
  return all;
}

}  // namespace gradwire
