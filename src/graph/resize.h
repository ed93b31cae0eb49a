// What becomes of a recorded call when the sizes of its inputs change.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "tarn/shape.h"

namespace tarn {

// Which size turned into which. A size that turned into several is not known.
class SizeChange {
 public:
  void learn(const Shape& was, const Shape& is) {
    for (size_t i = 0; i < was.size() && i < is.size(); ++i) learn(was[i], is[i]);
  }
  int64_t of(int64_t size) const {
    for (const auto& [was, is] : known_)
      if (was == size) return is == unclear ? size : is;
    return size;
  }

 private:
  static constexpr int64_t unclear = -1;

  void learn(int64_t was, int64_t is) {
    if (was < 2) return;  // 0 and 1 mean too many things
    for (auto& [from, to] : known_) {
      if (from != was) continue;
      if (to != is) to = unclear;
      return;
    }
    known_.push_back({was, is});
  }

  std::vector<std::pair<int64_t, int64_t>> known_{};
};

}  // namespace tarn
