// The reference: all other kernels must give the same bytes.

#include "generic/table.inl.hpp"
#include "kernels.hpp"

namespace gradwire {

const Kernels kScalarKernels = kGenericKernels;

}  // namespace gradwire
