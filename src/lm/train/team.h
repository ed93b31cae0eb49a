// The ranks that train together: who has which rows of a batch, and the sums of what each has.
#pragma once

#include <optional>
#include <vector>

#include "lm/train/batches.h"
#include "tarn/lm/train.h"
#include "tarn/nn/distributed.h"
#include "tarn/ops.h"

namespace tarn::lm {

class Team {
 public:
  explicit Team(const std::optional<distributed::Group>& group) {
    if (group && group->size() > 1) group_ = group;
  }
  explicit operator bool() const { return group_.has_value(); }
  int size() const { return group_ ? group_->size() : 1; }
  int rank() const { return group_ ? group_->rank() : 0; }
  // Of a batch, whose rows are in the order of their lengths.
  Rows share_of(const Rows& rows) const {
    Rows mine;
    for (auto r = static_cast<size_t>(rank()); r < rows.size(); r += static_cast<size_t>(size()))
      mine.push_back(rows[r]);
    return mine;
  }
  std::vector<double> sums(const std::vector<double>& mine) const {
    if (!group_) return mine;
    array all = distributed::all_sum(
        array(mine.begin(), {static_cast<int64_t>(mine.size())}, float64), group_);
    const auto* sum = all.data<double>();
    return {sum, sum + mine.size()};
  }
  // Whether one of them says so.
  bool any(bool mine) const { return sums({mine ? 1.0 : 0.0})[0] > 0; }
  NamedParameters sums(NamedParameters mine) const {
    if (!group_) return mine;
    std::vector<array> flat;
    for (const auto& [path, a] : mine) flat.push_back(a);
    flat = nn::all_sum_together(flat, group_);
    size_t at = 0;
    for (auto& [path, a] : mine) a = flat[at++];
    return mine;
  }

 private:
  std::optional<distributed::Group> group_{};
};

}  // namespace tarn::lm
