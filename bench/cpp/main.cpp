// Microbenchmarks of the codecs and kernels, with huff0 beside them in the same run.
//   gradwire_bench FOLDER [--benchmark_filter=...]       (bench/datasets.py FOLDER makes the data)
// Compare ratios of rows of one run: the machine's speed drifts.

#include <benchmark/benchmark.h>

#include <cstdio>

#include "data.hpp"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER [--benchmark_...]; make FOLDER with bench/datasets.py\n",
                 argv[0]);
    return 2;
  }
  static const std::vector<DataSet> sets = load_data_sets(argv[1]);
  if (sets.empty()) {
    std::fprintf(stderr, "%s has no *.i8 files; make them with bench/datasets.py\n", argv[1]);
    return 2;
  }
  register_peers(sets);
  register_codecs(sets);
  register_kernels(sets);
  register_layouts();
  register_gradients();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
