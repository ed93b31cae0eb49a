// A model that is made while a DivisionScope lives is one rank's part: its config and its weights
// are those of the part (load/divide.cpp), and what its layers give is summed over the ranks.
#pragma once

#include <optional>

#include "tarn/distributed.h"

namespace tarn::lm {

class DivisionScope {
 public:
  explicit DivisionScope(distributed::Group group);
  ~DivisionScope();
  DivisionScope(const DivisionScope&) = delete;
  DivisionScope& operator=(const DivisionScope&) = delete;
  // The calling thread's.
  static std::optional<distributed::Group> current();
  // The same for a model whose layers will sum what they give over the group.
  static std::optional<distributed::Group> for_model();
  // Whether a model asked for it.
  bool has_model() const { return has_model_; }

 private:
  distributed::Group group_;
  bool has_model_ = false;
  DivisionScope* before_;
};

}  // namespace tarn::lm
