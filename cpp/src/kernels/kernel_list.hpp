#pragma once

// The tables and kernels of this build, for reports, tests and benchmarks. Kernel files must not
// include this.

#include <string_view>
#include <vector>

#include "kernels.hpp"

namespace gradwire {

/// The tables that this processor can run, slowest first.
std::vector<const Kernels*> available_kernels();

/// A kernel of a table, for example "tokens.tokenize". Kernels of two tables with the same name are
/// of the same type.
struct NamedKernel {
  std::string_view name;
  void (*function)();  ///< to be compared, not called
};
/// All kernels of a table, in its order.
std::vector<NamedKernel> list_kernels(const Kernels& table);

}  // namespace gradwire
