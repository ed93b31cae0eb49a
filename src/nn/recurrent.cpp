#include "tarn/nn/recurrent.h"

#include "base/require.h"
#include "nn/draw.h"
#include "nn/weak.h"
#include "tarn/nn/init.h"

namespace tarn::nn {
namespace {

using MaybeArray = std::optional<array>;

// W x + b for all positions at once, (..., L, n), cut into L arrays (..., n).
std::vector<array> projected(const char* layer, const array& x, const array& w,
                             const MaybeArray& bias) {
  require<ShapeError>(x.ndim() >= 2 && x.shape(-2) > 0 && x.shape(-1) == w.shape(-1),
                      "[{}] x has shape {}: (..., positions, {}) is needed, with at least one "
                      "position.",
                      layer, text_of(x.shape()), w.shape(-1));
  array y = matmul(x, transpose(w));
  return unstack(bias ? y + *bias : y, -2);
}

}  // namespace

RNN RNN::init(int64_t input_size, int64_t hidden_size, const array& key, bool bias,
              Activation nonlinearity) {
  auto keys = init::keys(key, 3);
  RNN r;
  r.Wxh = within_root("RNN", {hidden_size, input_size}, hidden_size, keys[0]);
  r.Whh = within_root("RNN", {hidden_size, hidden_size}, hidden_size, keys[1]);
  if (bias) r.bias = within_root("RNN", {hidden_size}, hidden_size, keys[2]);
  r.nonlinearity = std::move(nonlinearity);
  return r;
}
array RNN::operator()(const array& x, const MaybeArray& hidden) const {
  MaybeArray h = hidden;
  std::vector<array> all;
  for (const array& step : projected("RNN", x, Wxh, bias)) {
    h = nonlinearity(h ? step + matmul(*h, transpose(Whh)) : step);
    all.push_back(*h);
  }
  return stack(all, -2);
}

GRU GRU::init(int64_t input_size, int64_t hidden_size, const array& key, bool bias) {
  auto keys = init::keys(key, 4);
  GRU g;
  g.Wx = within_root("GRU", {3 * hidden_size, input_size}, hidden_size, keys[0]);
  g.Wh = within_root("GRU", {3 * hidden_size, hidden_size}, hidden_size, keys[1]);
  if (bias) g.b = within_root("GRU", {3 * hidden_size}, hidden_size, keys[2]);
  if (bias) g.bhn = within_root("GRU", {hidden_size}, hidden_size, keys[3]);
  return g;
}
array GRU::operator()(const array& x, const MaybeArray& hidden) const {
  MaybeArray h = hidden;
  std::vector<array> all;
  for (const array& step : projected("GRU", x, Wx, b)) {
    auto parts = split(step, 3, -1);
    MaybeArray candidate = bhn;
    if (h) {
      auto of_h = split(matmul(*h, transpose(Wh)), 3, -1);
      parts[0] = parts[0] + of_h[0];
      parts[1] = parts[1] + of_h[1];
      candidate = bhn ? of_h[2] + *bhn : of_h[2];
    }
    array r = sigmoid(parts[0]), z = sigmoid(parts[1]);
    array n = tanh(candidate ? parts[2] + r * *candidate : parts[2]);
    h = h ? (1_w - z) * n + z * *h : (1_w - z) * n;
    all.push_back(*h);
  }
  return stack(all, -2);
}

LSTM LSTM::init(int64_t input_size, int64_t hidden_size, const array& key, bool bias) {
  auto keys = init::keys(key, 3);
  LSTM l;
  l.Wx = within_root("LSTM", {4 * hidden_size, input_size}, hidden_size, keys[0]);
  l.Wh = within_root("LSTM", {4 * hidden_size, hidden_size}, hidden_size, keys[1]);
  if (bias) l.bias = within_root("LSTM", {4 * hidden_size}, hidden_size, keys[2]);
  return l;
}
std::pair<array, array> LSTM::operator()(const array& x, const MaybeArray& hidden,
                                         const MaybeArray& cell) const {
  MaybeArray h = hidden, c = cell;
  std::vector<array> all_h, all_c;
  for (const array& step : projected("LSTM", x, Wx, bias)) {
    auto parts = split(h ? step + matmul(*h, transpose(Wh)) : step, 4, -1);
    array added = sigmoid(parts[0]) * tanh(parts[2]);
    c = c ? sigmoid(parts[1]) * *c + added : added;
    h = sigmoid(parts[3]) * tanh(*c);
    all_h.push_back(*h);
    all_c.push_back(*c);
  }
  return {stack(all_h, -2), stack(all_c, -2)};
}

}  // namespace tarn::nn
