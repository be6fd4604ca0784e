#pragma once

#include <string_view>
#include <vector>

namespace gradwire {

/// Library version, "major.minor.patch".
std::string_view version();

/// The default for `threads`; n >= 1, or 0 for what OpenMP chooses.
void set_threads(int n);
int get_threads();

/// Whether chunks are coded in parallel: the library was built with OpenMP.
bool has_openmp();

/// Name of the instruction set in use: "scalar", "avx2" or "avx512".
/// The environment variable GRADWIRE_ISA forces one; std::invalid_argument if it is unknown here.
std::string_view isa();

/// The instruction sets that this processor can run, slowest first.
std::vector<std::string_view> available_isas();

}  // namespace gradwire
