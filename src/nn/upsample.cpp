#include "tarn/nn/upsample.h"

#include <algorithm>
#include <cmath>

#include "base/require.h"
#include "tarn/ops.h"

namespace tarn::nn {
namespace {

using Mode = Upsample::Mode;

// A result is the sum over taps of weight[i] * x[index[i]].
struct Tap {
  std::vector<int64_t> index{};
  std::vector<float> weight{};
};

// Positions are computed in float32 and rounded after each step, as MLX does: which position is the
// nearest may hang on it.
float rounded(float x) {
  volatile float y = x;
  return y;
}

int64_t result_size(int64_t n, double scale) {
  return static_cast<int64_t>(scale * static_cast<double>(n));
}

std::vector<int64_t> nearest(int64_t n, double scale) {
  int64_t m = result_size(n, scale);
  auto ratio = static_cast<float>(static_cast<double>(n) / static_cast<double>(m));
  std::vector<int64_t> index;
  for (int64_t i = 0; i < m; ++i) {
    float at = static_cast<float>(i);
    at = m > n ? std::nearbyint(rounded(rounded((at + 0.5f) * ratio) - 0.5f)) : rounded(at * ratio);
    index.push_back(std::clamp<int64_t>(static_cast<int64_t>(at), 0, n - 1));
  }
  return index;
}

// Where the results lie among the positions of x.
std::vector<float> places(int64_t n, double scale, bool align_corners) {
  int64_t m = result_size(n, scale);
  auto size = static_cast<double>(n), results = static_cast<double>(m);
  double step = align_corners ? (size - 1) / std::max(results - 1, 1.0) : 1 / scale;
  double start = align_corners ? 0 : ((results - 1) * step - size + 1) / 2;
  std::vector<float> at;
  for (int64_t i = 0; i < m; ++i)
    at.push_back(rounded(rounded(static_cast<float>(i) * static_cast<float>(step)) -
                         static_cast<float>(start)));
  return at;
}

double triangle(double d) { return std::max(1 - d, 0.0); }
double cubic(double d, double a) {
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d <= 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
}

// Taps around each place. Beyond the ends the end counts again, or, with antialias, nothing.
std::vector<Tap> taps(const Upsample& u, int64_t n, double scale) {
  double wide = u.antialias && scale < 1 ? 1 / scale : 1;
  double radius = u.mode == Mode::linear ? 1 : 2;
  int reach =
      u.antialias ? static_cast<int>(std::ceil(radius * wide)) + 1 : static_cast<int>(radius);
  auto weight = [&](double distance) {
    if (u.mode == Mode::linear) return triangle(distance / wide);
    return cubic(distance / wide, u.antialias ? -0.5 : -0.75);
  };
  std::vector<Tap> all(static_cast<size_t>(2 * reach));
  for (float place : places(n, scale, u.align_corners)) {
    double at = place;
    if (u.mode == Mode::linear && !u.antialias)
      at = std::clamp(at, 0.0, static_cast<double>(n - 1));
    std::vector<double> weights;
    double sum = 0;
    for (int k = 1 - reach; k <= reach; ++k) {
      double to = std::floor(at) + k;
      bool inside = to >= 0 && to < static_cast<double>(n);
      weights.push_back(inside || !u.antialias ? weight(std::abs(at - to)) : 0);
      sum += weights.back();
      auto index = static_cast<int64_t>(std::clamp(to, 0.0, static_cast<double>(n - 1)));
      all[static_cast<size_t>(k + reach - 1)].index.push_back(index);
    }
    if (!u.antialias || sum <= 0) sum = 1;
    for (size_t t = 0; t < all.size(); ++t)
      all[t].weight.push_back(static_cast<float>(weights[t] / sum));
  }
  return all;
}

array taken(const array& x, const std::vector<int64_t>& index, int axis) {
  return take(x, array(index.begin(), {static_cast<int64_t>(index.size())}, int32), axis);
}

array resampled(const array& x, const std::vector<Tap>& taps, int axis) {
  Shape along(x.ndim(), 1);
  along[static_cast<size_t>(axis)] = static_cast<int64_t>(taps[0].index.size());
  std::optional<array> sum;
  for (const Tap& tap : taps) {
    if (std::all_of(tap.weight.begin(), tap.weight.end(), [](float w) { return w == 0; })) continue;
    array term = taken(x, tap.index, axis) * array(tap.weight.begin(), along, float32);
    sum = sum ? *sum + term : term;
  }
  return *sum;
}

void check(const Upsample& u, const array& x) {
  require<ShapeError>(x.ndim() >= 3,
                      "[Upsample] x has shape {}: a batch, positions and channels are needed.",
                      text_of(x.shape()));
  require(u.scale_factor.size() == 1 || u.scale_factor.size() == x.ndim() - 2,
          "[Upsample] {} factors are given for {} axes of positions: one for each or one for all.",
          u.scale_factor.size(), x.ndim() - 2);
  require(!u.antialias || (u.mode != Mode::nearest && !u.align_corners),
          "[Upsample] antialias goes with linear or cubic, and not with align_corners.");
}

}  // namespace

array Upsample::operator()(const array& x) const {
  check(*this, x);
  array y = x;
  for (int axis = 1; axis + 1 < static_cast<int>(x.ndim()); ++axis) {
    double scale =
        scale_factor.size() == 1 ? scale_factor[0] : scale_factor[static_cast<size_t>(axis) - 1];
    int64_t n = x.shape(axis);
    require(std::isfinite(scale) && n > 0 && scale * static_cast<double>(n) >= 1 &&
                scale * static_cast<double>(n) < 2147483648.0,
            "[Upsample] {} positions times {} are not between 1 and 2^31.", n, scale);
    if (mode != Mode::nearest)
      y = resampled(y, taps(*this, n, scale), axis);
    else if (scale == std::floor(scale))
      y = repeat(y, static_cast<int>(scale), axis);
    else
      y = taken(y, nearest(n, scale), axis);
  }
  return y;
}

}  // namespace tarn::nn
