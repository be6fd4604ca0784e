#pragma once

// The tables of this build, for reports, tests and benchmarks. Kernel files must not
// include this.

#include <vector>

#include "kernels.hpp"

namespace gradwire {

/// The tables that this processor can run, slowest first.
std::vector<const Kernels*> available_kernels();

}  // namespace gradwire
