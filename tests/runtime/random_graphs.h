// Programs drawn by lot: the same seed gives the same function of the same arguments.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include "tarn/tarn.h"

namespace tarn::random_graphs {

using Arrays = std::vector<array>;

// Draws a program of `length` operations over what is there. All values stay small: what could grow
// goes through tanh.
class Program {
 public:
  Program(uint64_t seed, int length, bool halves) : seed_(seed), length_(length), halves_(halves) {}

  // Two float32 matrices.
  Arrays arguments(int variant = 0) const {
    auto a = random::key(seed_ * 2 + 1 + static_cast<uint64_t>(variant) * 7919);
    auto [k0, k1] = random::split(a);
    return {random::uniform(-1.0f, 1.0f, Shape{4, 6}, float32, k0),
            random::uniform(-1.0f, 1.0f, Shape{4, 6}, float32, k1)};
  }
  // One to three results.
  Arrays operator()(const Arrays& in) const {
    std::mt19937_64 draw(seed_);
    Arrays values = in;
    for (int i = 0; i < length_; ++i) values.push_back(next(values, draw));
    Arrays out;
    for (size_t i = 0, n = 1 + draw() % 3; i < n; ++i) out.push_back(pick(values, draw));
    out.push_back(values.back());
    for (auto& x : out) x = astype(x, float32);
    return out;
  }

 private:
  using Draw = std::mt19937_64;

  // Later values more often, so that programs are deep.
  static array pick(const Arrays& values, Draw& draw) {
    size_t n = values.size();
    return draw() % 3 ? values[n - 1 - draw() % std::min<size_t>(n, 4)] : values[draw() % n];
  }
  static int axis(const array& x, Draw& draw) { return static_cast<int>(draw() % x.ndim()); }
  // x in the shape of a 4 x 6 matrix, by repeating and cutting.
  static array matrix(const array& x) {
    array flat = flatten(x);
    if (flat.size() == 0) return zeros(Shape{4, 6}, x.dtype());
    auto n = static_cast<int64_t>(flat.size());
    flat = tile(flat, {static_cast<int>((24 + n - 1) / n)});
    return reshape(slice(flat, Shape{0}, Shape{24}), Shape{4, 6});
  }

  array next(const Arrays& values, Draw& draw) const {
    array x = pick(values, draw);
    if (x.ndim() == 0 || x.size() > 200) x = matrix(x);
    switch (draw() % 5) {
      case 0:
        return unary(x, draw);
      case 1:
        return binary(matrix(x), matrix(pick(values, draw)), draw);
      case 2:
        return moved(x, draw);
      case 3:
        return folded(x, draw);
      default:
        return mixed(matrix(x), matrix(pick(values, draw)), draw);
    }
  }
  static array unary(const array& x, Draw& draw) {
    switch (draw() % 8) {
      case 0:
        return negative(x);
      case 1:
        return abs(x);
      case 2:
        return square(x);
      case 3:
        return sin(x);
      case 4:
        return sigmoid(x);
      case 5:
        return tanh(x * 3.0f);
      case 6:
        return exp(negative(abs(x)));
      default:
        return sqrt(abs(x) + 0.1f);
    }
  }
  static array binary(const array& a, const array& b, Draw& draw) {
    switch (draw() % 7) {
      case 0:
        return (a + b) * 0.5f;
      case 1:
        return (a - b) * 0.5f;
      case 2:
        return tanh(a * b);
      case 3:
        return tanh(a / (abs(b) + 0.5f));
      case 4:
        return maximum(a, b);
      case 5:
        return minimum(a, slice(b, {1, 0}, {2, 6}));
      default:
        return where(a < b, a, b * 0.25f);
    }
  }
  static array moved(const array& x, Draw& draw) {
    int at = axis(x, draw);
    Shape start(x.ndim(), 0), stop = x.shape(), step(x.ndim(), 1);
    auto i = static_cast<size_t>(at);
    switch (draw() % 9) {
      case 0:
        return flatten(x);
      case 1:
        return transpose(x);
      case 2:
        return flip(x, at);
      case 3:
        return roll(x, 2, at);
      case 4:
        step[i] = 2;
        return x.shape(at) > 2 ? slice(x, start, stop, step) : x;
      case 5:
        return concatenate({x, flip(x, at)}, at);
      case 6:
        return pad(x, 1, array(0.5f));
      case 7:
        return x.shape(at) > 1 ? take(x, array({1, 0, 1}), at) : x;
      default:
        return expand_dims(x, at);
    }
  }
  static array folded(const array& x, Draw& draw) {
    int at = axis(x, draw);
    bool keep = draw() % 2 != 0;
    switch (draw() % 7) {
      case 0:
        return tanh(sum(x, at, keep));
      case 1:
        return x.shape(at) > 0 ? max(x, at, keep) : x;
      case 2:
        return tanh(mean(x, at, keep));
      case 3:
        return tanh(cumsum(x, at));
      case 4:
        return softmax(x, at);
      case 5:
        return sort(x, at);
      default:
        return tanh(logsumexp(x, at, keep));
    }
  }
  array mixed(const array& a, const array& b, Draw& draw) const {
    switch (draw() % (halves_ ? 7 : 5)) {
      case 0:
        return tanh(matmul(a, transpose(b)));
      case 1:
        return slice_update(a, slice(b, {0, 1}, {2, 4}), {1, 2}, {3, 5});
      case 2:
        return tanh(scatter_add(a, array({3, 0, 3}), expand_dims(slice(b, {0, 0}, {3, 6}), 1), 0));
      case 3:
        return astype(astype(a * 8.0f, int32), float32) * 0.125f + b * 0.5f;
      case 4:
        return astype(astype(a, float64) * astype(b, float64), float32);
      case 5:
        return astype(astype(a, float16) * astype(b, float16), float32);
      default:
        return astype(astype(a, bfloat16) + astype(b, bfloat16), float32) * 0.5f;
    }
  }

  uint64_t seed_;
  int length_;
  bool halves_;
};

}  // namespace tarn::random_graphs
