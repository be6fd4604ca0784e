#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

struct DataSet {
  std::string name;
  std::vector<std::uint8_t> bytes;
};

/// The files *.i8 of a folder, by name; bench/datasets.py makes them.
std::vector<DataSet> load_data_sets(const std::string& folder);

inline constexpr std::size_t kMostFloats = std::size_t{384} << 16;  ///< about 25 million

/// Independent Laplace numbers, at most kMostFloats; none is 32 or more, in magnitude.
std::span<const float> laplace(std::size_t count);

/// Each registers its benchmarks, which refer to the data sets: keep them.
void register_codecs(const std::vector<DataSet>& sets);
void register_kernels(const std::vector<DataSet>& sets);
void register_gradients();
void register_layouts();
void register_peers(const std::vector<DataSet>& sets);
