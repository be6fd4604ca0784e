#ifdef GRADWIRE_HAS_X86_KERNELS
#include <cpuid.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include "gradwire/runtime.hpp"
#include "kernels/kernel_list.hpp"
#include "kernels/kernels.hpp"

namespace gradwire {
namespace {

#ifdef GRADWIRE_HAS_X86_KERNELS
/// Whether the processor has LZCNT, a name that Clang 16 rejects in __builtin_cpu_supports.
bool has_lzcnt() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) != 0 && (ecx >> 5 & 1) != 0;
}
#endif

const Kernels& choose() {
  const char* forced = std::getenv("GRADWIRE_ISA");
  const Kernels* best = nullptr;
  std::string names;
  for (const Kernels* table : available_kernels()) {
    names += (names.empty() ? "" : ", ") + std::string(table->name);
    if (forced == nullptr || *forced == '\0' || std::string(forced) == table->name) best = table;
  }
  if (best == nullptr) {
    throw std::invalid_argument(
        "GRADWIRE_ISA=" + std::string(forced) +
        " is not an instruction set of this machine; take one of: " + names);
  }
  return *best;
}

}  // namespace

std::vector<const Kernels*> available_kernels() {
  std::vector<const Kernels*> tables = {&kScalarKernels};
#ifdef GRADWIRE_HAS_X86_KERNELS
  // The features of cpp/cmake/kernels.cmake.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && has_lzcnt() &&
                    __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("sse4.2") &&
                    __builtin_cpu_supports("pclmul");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512vbmi") &&
                      __builtin_cpu_supports("avx512vbmi2") &&
                      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("vpclmulqdq");
  if (avx2) tables.push_back(&kAvx2Kernels);
  if (avx2 && avx512) tables.push_back(&avx512_kernels());  // which is itself AVX-512 code
#endif
  return tables;
}

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

std::string_view isa() { return kernels().name; }

std::vector<std::string_view> available_isas() {
  std::vector<std::string_view> names;
  for (const Kernels* table : available_kernels()) names.push_back(table->name);
  return names;
}

std::vector<KernelIsa> kernel_isas() {
  const auto running = list_kernels(kernels());
  std::vector<KernelIsa> isas;
  for (const NamedKernel& kernel : running) isas.push_back({kernel.name, kernels().name});
  // A table begins as a copy of the one below it: a function is that of the slowest table with it.
  auto tables = available_kernels();
  std::reverse(tables.begin(), tables.end());
  for (const Kernels* table : tables) {
    const auto listed = list_kernels(*table);
    for (std::size_t i = 0; i < listed.size(); ++i) {
      if (listed[i].function == running[i].function) isas[i].isa = table->name;
    }
  }
  return isas;
}

}  // namespace gradwire
