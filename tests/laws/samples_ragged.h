// Sample calls: rows of a batch that are at places of their own.
#pragma once

#include "laws/samples.h"

namespace tarn::laws {

inline std::vector<Sample> ropes_by_row(Dtype t) {
  using P = ops::RopeRows::P;
  array x = numbers({2, 3, 2, 8}, t), offsets = array({5, 0}, int64);
  return {{"halves", P{8, false, 100, 1}, {x, offsets}, {0}},
          {"traditional, part", P{4, true, 100, 0.5f}, {x, offsets}, {0}},
          {"freqs", P{8, false, 0, 1}, {x, offsets, numbers({4}, float32, 1, 20)}, {0}}};
}
inline std::vector<Sample> appended_rows(Dtype t) {
  array cache = numbers({1, 2, 5, 3}, t), rows = numbers({3, 2, 2, 3}, t, -3, 3, 1);
  return {{"first", ops::AppendRow::P{0, 0}, {cache, rows}, {0, 1}},
          {"last", ops::AppendRow::P{2, 3}, {cache, rows}, {0, 1}}};
}
inline std::vector<Sample> ragged_attentions(Dtype t) {
  array q = numbers({2, 4, 1, 8}, t, -1, 1), k = numbers({1, 2, 6, 8}, t, -1, 1, 1);
  array v = numbers({1, 2, 6, 5}, t, -1, 1, 2), k1 = numbers({1, 2, 3, 8}, t, -1, 1, 3);
  array v1 = numbers({1, 2, 3, 5}, t, -1, 1, 4);
  using P = ops::RaggedAttention::P;
  return {{"two", P{0.35f, {6, 2}}, {q, k, v, k1, v1}, {0, 1, 2, 3, 4}},
          {"one twice", P{0.35f, {1, 4}}, {q, k, v, k, v}, {0, 1, 2}}};
}

inline void add_ragged(Table& t) {
  t["rope_rows"] = {floats, ropes_by_row, 2e-5};
  t["append_row"] = {numbers_, appended_rows};
  t["ragged_attention"] = {floats, ragged_attentions, 1e-5};
}

}  // namespace tarn::laws
