#include "kernels/kernels.hpp"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>

#include "kernel_rows.hpp"
#include "kernels/kernel_list.hpp"

namespace {

using namespace gradwire;

void copy(benchmark::State& state, const DataSet& set) {
  Bytes out(set.bytes.size());
  for (auto _ : state) {
    std::memcpy(out.data(), set.bytes.data(), out.size());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * out.size()));
}

/// Kernels that have rows.
std::set<std::string, std::less<>>& kernels_with_rows() {
  static std::set<std::string, std::less<>> names;
  return names;
}

void check_that_all_have_rows() {
  auto left = kernels_with_rows();
  for (const NamedKernel& kernel : list_kernels(kScalarKernels)) {
    const auto found = left.find(kernel.name);
    if (found == left.end()) {
      throw std::logic_error("no row measures the kernel " + std::string(kernel.name));
    }
    left.erase(found);
  }
  if (!left.empty()) throw std::logic_error("there is no kernel " + *left.begin());
}

}  // namespace

void add_rows(const std::string& kernel, const std::string& data, std::function<Work()> prepare) {
  kernels_with_rows().insert(kernel);
  const auto work = std::make_shared<std::optional<Work>>();
  void (*below)() = nullptr;  // the function of the table below
  for (const Kernels* table : available_kernels()) {
    for (const NamedKernel& listed : list_kernels(*table)) {
      if (listed.name != kernel || listed.function == below) continue;
      below = listed.function;
      const std::string name = "kernel/" + kernel + "/" + data + "/" + table->name;
      benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
        if (!*work) *work = prepare();
        for (auto _ : state) {
          (*work)->run(*table);
          benchmark::ClobberMemory();
        }
        state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * (*work)->bytes));
      });
    }
  }
}

const DataSet& find(const std::vector<DataSet>& sets, const std::string& name) {
  for (const DataSet& set : sets) {
    if (set.name == name) return set;
  }
  throw std::runtime_error("there is no file " + name + ".i8; make it with bench/datasets.py");
}

Bytes first_bytes(const std::vector<DataSet>& sets, const std::string& name, std::size_t size) {
  const Bytes& bytes = find(sets, name).bytes;
  const std::size_t most = std::min(size, bytes.size());
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(most)};
}

void register_kernels(const std::vector<DataSet>& sets) {
  for (const DataSet& set : sets) {
    benchmark::RegisterBenchmark((set.name + "/kernel/memcpy").c_str(), copy, std::cref(set));
  }
  add_byte_rows(sets);
  add_code_rows(sets);
  add_token_rows(sets);
  add_bin_rows();
  add_pivot_rows();
  add_float_rows();
  check_that_all_have_rows();
}
