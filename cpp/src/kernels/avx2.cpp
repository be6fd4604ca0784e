// Built with the AVX2 flags of cpp/cmake/kernels.cmake.

#include "kernels.hpp"
#include "x86/avx2_table.inl.hpp"

namespace gradwire {

constinit const Kernels kAvx2Kernels = make_avx2_kernels();

}  // namespace gradwire
