#include "data.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

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
