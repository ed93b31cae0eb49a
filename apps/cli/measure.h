// Measuring: how long something takes, and how to say it.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "model_options.h"

namespace tarn::cli {

// Several measurements of one rate; larger is better.
struct Rates {
  std::vector<double> all{};

  double best() const { return all.empty() ? 0 : *std::max_element(all.begin(), all.end()); }
  double worst() const { return all.empty() ? 0 : *std::min_element(all.begin(), all.end()); }
  double median() const {
    if (all.empty()) return 0;
    std::vector<double> sorted = all;
    std::sort(sorted.begin(), sorted.end());
    size_t half = sorted.size() / 2;
    return sorted.size() % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }
  // (best - worst) / median.
  double spread() const { return median() > 0 ? (best() - worst()) / median() : 0; }
};

template <class F>
double seconds_of(F&& f) {
  double start = now_seconds();
  f();
  return now_seconds() - start;
}

}  // namespace tarn::cli
