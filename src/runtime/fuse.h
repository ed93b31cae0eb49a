// Decides which elementwise values share a step, and writes such a step's instructions.
#pragma once

#include <vector>

#include "runtime/values.h"

namespace tarn {

// Fills `roots` of the elementwise values. A value whose roots are not itself is computed inside
// those steps and never stored.
void choose_steps(std::vector<Value>& values, bool fuse);

struct Chain {
  std::vector<FusedOp> ops{};
  std::vector<int> inputs{};  // values
};
Chain chain_of(const std::vector<Value>& values, int root);

}  // namespace tarn
