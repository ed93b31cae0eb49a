// What is trained, as one array: a step of an optimizer that takes each number alone is then a few
// steps of a plan, and not a few for each parameter.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tarn/lm/train.h"

namespace tarn::lm {

// Whether that pays: on a GPU, whose launches cost more than the numbers of a parameter.
bool can_be_packed(const TrainOptions& options);

class Packed {
 public:
  Packed() = default;  // packs nothing
  explicit Packed(const NamedParameters& like);

  NamedParameters packed(const NamedParameters& named) const;
  NamedParameters named(const NamedParameters& packed) const;
  // Of what an optimizer keeps: arrays shaped as parameters are, and numbers.
  optim::State packed_state(const optim::State& named) const;
  optim::State named_state(const optim::State& packed) const;

 private:
  array joined(const std::vector<array>& parts) const;
  std::vector<array> parts_of(const array& all) const;

  std::vector<std::pair<std::string, Shape>> places_{};
};

}  // namespace tarn::lm
