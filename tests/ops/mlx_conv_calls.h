// Convolutions by name, for mlx_driver.
#pragma once

#include "ops/mlx_calls.h"

namespace tarn::mlx_test {

inline std::pair<int, int> two(const Case& c, const char* key) {
  auto v = c.list(key);
  return {v.at(0), v.at(1)};
}
inline std::tuple<int, int, int> three(const Case& c, const char* key) {
  auto v = c.list(key);
  return {v.at(0), v.at(1), v.at(2)};
}

inline void add_convolutions(Calls& calls) {
  calls["conv_general"] = [](const Case& c) {
    return Arrays{conv_general(c[0], c[1], c.list("stride"), c.list("lo"), c.list("hi"),
                               c.list("dilation"), c.list("input_dilation"), c.number("groups", 1),
                               c.flag("flip"))};
  };
  calls["conv1d"] = [](const Case& c) {
    return Arrays{conv1d(c[0], c[1], c.list("stride").at(0), c.list("padding").at(0),
                         c.list("dilation").at(0), c.number("groups", 1))};
  };
  calls["conv2d"] = [](const Case& c) {
    return Arrays{conv2d(c[0], c[1], two(c, "stride"), two(c, "padding"), two(c, "dilation"),
                         c.number("groups", 1))};
  };
  calls["conv3d"] = [](const Case& c) {
    return Arrays{conv3d(c[0], c[1], three(c, "stride"), three(c, "padding"), three(c, "dilation"),
                         c.number("groups", 1))};
  };
  calls["conv_transpose1d"] = [](const Case& c) {
    return Arrays{conv_transpose1d(c[0], c[1], c.list("stride").at(0), c.list("padding").at(0),
                                   c.list("dilation").at(0), c.list("output_padding").at(0),
                                   c.number("groups", 1))};
  };
  calls["conv_transpose2d"] = [](const Case& c) {
    return Arrays{conv_transpose2d(c[0], c[1], two(c, "stride"), two(c, "padding"),
                                   two(c, "dilation"), two(c, "output_padding"),
                                   c.number("groups", 1))};
  };
  calls["conv_transpose3d"] = [](const Case& c) {
    return Arrays{conv_transpose3d(c[0], c[1], three(c, "stride"), three(c, "padding"),
                                   three(c, "dilation"), three(c, "output_padding"),
                                   c.number("groups", 1))};
  };
}

}  // namespace tarn::mlx_test
