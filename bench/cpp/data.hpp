#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct DataSet {
  std::string name;
  std::vector<std::uint8_t> bytes;
};

/// The files *.i8 of a folder, by name; bench/datasets.py makes them.
std::vector<DataSet> load_data_sets(const std::string& folder);

/// Each registers its benchmarks, which refer to the data sets: keep them.
void register_codecs(const std::vector<DataSet>& sets);
void register_kernels(const std::vector<DataSet>& sets);
void register_gradients();
void register_layouts();
void register_peers(const std::vector<DataSet>& sets);
