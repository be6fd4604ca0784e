#pragma once

#include <string_view>
#include <vector>

namespace gradwire {

/// Library version, "major.minor.patch".
std::string_view version();

/// Sets the process-wide default for `threads`: n >= 1, or 0 to let OpenMP choose.
void set_threads(int n);
int get_threads();

/// Whether the library was built with OpenMP, so that chunks are coded in parallel.
bool has_openmp();

/// Name of the instruction set in use: "scalar", "avx2" or "avx512". The environment variable
/// GRADWIRE_ISA forces one; throws std::invalid_argument if this machine does not have it.
std::string_view isa();

/// The instruction sets that this processor can run, slowest first.
std::vector<std::string_view> available_isas();

/// A kernel (an inner loop, such as "tokens.tokenize") and the instruction set whose function runs.
struct KernelIsa {
  std::string_view name;
  std::string_view isa;
};
/// All kernels. Where the instruction set in use has no faster function, a slower one serves.
/// Throws as isa() does.
std::vector<KernelIsa> kernel_isas();

}  // namespace gradwire
