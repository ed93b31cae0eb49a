#pragma once

#include <algorithm>
#include <vector>

namespace bench {

inline double median(std::vector<double> all) {
  std::sort(all.begin(), all.end());
  return all[all.size() / 2];
}

}  // namespace bench
