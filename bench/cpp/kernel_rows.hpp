#pragma once

// Rows of the benchmarks of kernels, named kernel/KERNEL/DATA/TABLE. bench/kernels.py prints them.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "data.hpp"
#include "kernels/kernels.hpp"

using Bytes = std::vector<std::uint8_t>;

/// Elements that kernels get at once, as in frames.
inline constexpr std::size_t kPiece = std::size_t{1} << 16;

/// One run of a row, and the bytes of the elements that it treats.
struct Work {
  std::size_t bytes;
  std::function<void(const gradwire::Kernels&)> run;
};

/// Adds a row for each table that has its own function for this kernel. `prepare` makes the data
/// when the first of them runs.
void add_rows(const std::string& kernel, const std::string& data, std::function<Work()> prepare);

/// The data set of this name. Throws std::runtime_error if there is none.
const DataSet& find(const std::vector<DataSet>& sets, const std::string& name);
/// Its first `size` bytes, or all of them.
Bytes first_bytes(const std::vector<DataSet>& sets, const std::string& name, std::size_t size);

void add_byte_rows(const std::vector<DataSet>& sets);
void add_code_rows(const std::vector<DataSet>& sets);
void add_token_rows(const std::vector<DataSet>& sets);
void add_bin_rows();
void add_pivot_rows();
void add_float_rows();
