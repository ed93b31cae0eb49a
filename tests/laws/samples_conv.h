// Samples of convolutions. Included by samples.h.
#pragma once

#include "ops/conv.h"

namespace tarn::laws {

inline std::vector<Sample> convolutions(Dtype t) {
  using P = ops::Convolution::P;
  std::vector<Sample> out;
  auto add = [&](std::string label, P p, Shape x, Shape w) {
    out.push_back(
        {std::move(label), p, {numbers(x, t, -1, 1), numbers(w, t, -1, 1, 1)}, {0, 1}, {}});
  };
  add("1-d", P{{1}, {0}, {0}, {1}, {1}, 1, false}, {2, 7, 3}, {4, 3, 3});
  add("1-d flipped", P{{1}, {1}, {2}, {1}, {1}, 1, true}, {2, 5, 2}, {3, 4, 2});
  add("1-d, one channel each", P{{1}, {2}, {2}, {1}, {1}, 5, false}, {1, 6, 5}, {5, 3, 1});
  add("1-d, many channels each", P{{2}, {1}, {1}, {1}, {1}, 70, false}, {1, 6, 70}, {70, 3, 1});
  add("2-d, one channel each", P{{2, 1}, {1, -1}, {1, 2}, {1, 2}, {1, 1}, 6, true}, {2, 5, 6, 6},
      {6, 3, 2, 1});
  add("3-d, one channel each", P{{1, 1, 2}, {1, 0, 1}, {0, 1, 1}, {1, 1, 1}, {1, 1, 1}, 3, false},
      {1, 3, 3, 4, 3}, {3, 2, 2, 3, 1});
  add("1-d, two outputs a channel", P{{1}, {1}, {0}, {1}, {1}, 3, false}, {2, 5, 3}, {6, 2, 1});
  add("1-d cut", P{{1}, {-1}, {-2}, {1}, {1}, 1, false}, {2, 8, 2}, {2, 2, 2});
  add("2-d", P{{1, 1}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, 1, false}, {2, 4, 5, 3}, {4, 3, 3, 3});
  add("2-d point", P{{1, 1}, {0, 0}, {0, 0}, {1, 1}, {1, 1}, 2, false}, {1, 3, 2, 6}, {4, 1, 1, 3});
  add("2-d strides", P{{2, 3}, {0, 2}, {1, 1}, {1, 1}, {1, 1}, 1, false}, {1, 6, 7, 2},
      {3, 2, 3, 2});
  add("2-d dilated", P{{2, 1}, {1, 0}, {0, 1}, {2, 1}, {1, 2}, 2, false}, {2, 6, 4, 4},
      {6, 2, 3, 2});
  add("2-d back", P{{1, 1}, {2, 1}, {3, 1}, {1, 2}, {2, 3}, 1, true}, {1, 3, 3, 2}, {3, 3, 2, 2});
  add("2-d, a last column unread", P{{2, 2}, {0, 0}, {0, 0}, {1, 1}, {1, 1}, 1, false},
      {1, 4, 6, 1}, {2, 3, 3, 1});
  add("3-d", P{{1, 2, 1}, {0, 1, 1}, {1, 0, 1}, {1, 1, 2}, {1, 1, 1}, 1, false}, {1, 3, 4, 5, 2},
      {2, 2, 3, 2, 2});
  add("3-d groups", P{{1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, 2, true},
      {1, 2, 3, 2, 4}, {4, 3, 2, 1, 2});
  add("empty batch", P{{1}, {0}, {0}, {1}, {1}, 1, false}, {0, 5, 2}, {3, 2, 2});
  add("no channels", P{{1}, {0}, {0}, {1}, {1}, 1, false}, {2, 5, 0}, {3, 2, 0});
  return out;
}

inline void add_convolutions(Table& t) {
  t["conv_general"] = {{float32, float64, complex64}, convolutions, 4e-6};
}

}  // namespace tarn::laws
