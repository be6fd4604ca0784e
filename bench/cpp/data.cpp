#include "data.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

std::vector<DataSet> load_data_sets(const std::string& folder) {
  std::vector<DataSet> sets;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".i8") continue;
    std::ifstream file(entry.path(), std::ios::binary);
    sets.push_back({entry.path().stem(), {std::istreambuf_iterator<char>(file), {}}});
  }
  std::sort(sets.begin(), sets.end(),
            [](const DataSet& a, const DataSet& b) { return a.name < b.name; });
  return sets;
}

std::span<const float> laplace(std::size_t count) {
  static const std::vector<float> made = [] {
    std::mt19937 engine(1);
    std::exponential_distribution<float> size;
    std::vector<float> x(kMostFloats);
    for (float& v : x) v = engine() % 2 == 0 ? size(engine) : -size(engine);
    return x;
  }();
  return std::span(made).first(count);
}
