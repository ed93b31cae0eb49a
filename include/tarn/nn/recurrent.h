// Recurrent layers over x (..., L, D): a state for each of the L positions, (..., L, H). A first
// state (..., H) may be given; without one it is zero.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "tarn/array.h"
#include "tarn/fields.h"
#include "tarn/nn/activations.h"

namespace tarn::nn {

// h = nonlinearity(Wxh x + Whh h + b), Wxh (H, D), Whh (H, H). Elman 1990. `init` draws all weights
// of this file uniformly within 1 / sqrt(H).
struct RNN {
  array Wxh{}, Whh{};
  std::optional<array> bias{};
  Activation nonlinearity = Tanh{};
  TARN_FIELDS(Wxh, Whh, bias)
  static RNN init(int64_t input_size, int64_t hidden_size, const array& key, bool bias = true,
                  Activation nonlinearity = Tanh{});
  array operator()(const array& x, const std::optional<array>& hidden = std::nullopt) const;
};

// r = sigmoid(Wxr x + Whr h + br), z alike, n = tanh(Wxn x + bn + r (Whn h + bhn)),
// h = (1 - z) n + z h. Wx (3H, D) and Wh (3H, H) have the rows of r, z, n. Cho et al. 2014.
struct GRU {
  array Wx{}, Wh{};
  std::optional<array> b{}, bhn{};
  TARN_FIELDS(Wx, Wh, b, bhn)
  static GRU init(int64_t input_size, int64_t hidden_size, const array& key, bool bias = true);
  array operator()(const array& x, const std::optional<array>& hidden = std::nullopt) const;
};

// i, f, o = sigmoid and g = tanh of Wx x + Wh h + b, c = f c + i g, h = o tanh(c). Wx (4H, D) and
// Wh (4H, H) have the rows of i, f, g, o. Hochreiter, Schmidhuber 1997. Returns all h and all c.
struct LSTM {
  array Wx{}, Wh{};
  std::optional<array> bias{};
  TARN_FIELDS(Wx, Wh, bias)
  static LSTM init(int64_t input_size, int64_t hidden_size, const array& key, bool bias = true);
  std::pair<array, array> operator()(const array& x,
                                     const std::optional<array>& hidden = std::nullopt,
                                     const std::optional<array>& cell = std::nullopt) const;
};

}  // namespace tarn::nn
