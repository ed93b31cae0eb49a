// One step of each optimizer for one parameter.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/require.h"
#include "nn/weak.h"
#include "tarn/optim.h"

namespace tarn::optim {

using nn::operator""_w;
using nn::Weak;

namespace {

void fill_like(Slots& slots, const char* name, const array& parameter) {
  slots.fill(name, parameter.shape(), parameter.dtype());
}
void check_betas(const char* name, const std::array<double, 2>& betas) {
  for (double b : betas)
    require(b >= 0 && b < 1, "[{}] betas are {} and {}; each lies in [0, 1).", name, betas[0],
            betas[1]);
}
void check_positive(const char* name, const char* what, double value) {
  require(value > 0, "[{}] {} is {}; it must be positive.", name, what, value);
}
void check_not_negative(const char* name, const char* what, double value) {
  require(value >= 0, "[{}] {} is {}; it must not be negative.", name, what, value);
}
array rate_for(const array& gradient, const Step& step) {
  return astype(step.learning_rate, gradient.dtype());
}
// b x + (1 - b) y.
array moved(double b, const array& x, const array& y) { return Weak(b) * x + Weak(1 - b) * y; }

}  // namespace

// --- SGD

void SGD::check() const {
  require(!nesterov || (momentum > 0 && dampening == 0),
          "[SGD] momentum is {} and dampening {}: nesterov needs the first and not the second.",
          momentum, dampening);
}
void SGD::start(const array& p, Slots& s) const { fill_like(s, "v", p); }
array SGD::apply(const array& gradient, const array& p, Slots& s, const Step& step) const {
  array g = weight_decay != 0 ? gradient + Weak(weight_decay) * p : gradient;
  if (momentum <= 0) return p - rate_for(g, step) * g;
  array v = Weak(momentum) * s["v"] + (dampening > 0 ? Weak(1 - dampening) * g : g);
  s["v"] = v;
  return p - rate_for(g, step) * (nesterov ? g + Weak(momentum) * v : v);
}

// --- RMSprop, Adagrad, AdaDelta

void RMSprop::check() const {
  check_not_negative("RMSprop", "alpha", alpha);
  check_positive("RMSprop", "eps", eps);
}
void RMSprop::start(const array& p, Slots& s) const { fill_like(s, "v", p); }
array RMSprop::apply(const array& g, const array& p, Slots& s, const Step& step) const {
  array v = moved(alpha, s["v"], square(g));
  s["v"] = v;
  return p - rate_for(g, step) * g / (sqrt(v) + Weak(eps));
}

void Adagrad::check() const { check_positive("Adagrad", "eps", eps); }
void Adagrad::start(const array& p, Slots& s) const { fill_like(s, "v", p); }
array Adagrad::apply(const array& g, const array& p, Slots& s, const Step& step) const {
  array v = s["v"] + square(g);
  s["v"] = v;
  return p - rate_for(g, step) * g / (sqrt(v) + Weak(eps));
}

void AdaDelta::check() const {
  check_not_negative("AdaDelta", "rho", rho);
  check_positive("AdaDelta", "eps", eps);
}
void AdaDelta::start(const array& p, Slots& s) const {
  fill_like(s, "v", p);
  fill_like(s, "u", p);
}
array AdaDelta::apply(const array& g, const array& p, Slots& s, const Step& step) const {
  array v = moved(rho, s["v"], square(g));
  array d = sqrt(s["u"] + Weak(eps)) / sqrt(v + Weak(eps)) * g;
  s["u"] = moved(rho, s["u"], square(d));
  s["v"] = v;
  return p - rate_for(g, step) * d;
}

// --- Adam and its kin

void Adam::check() const {
  check_betas("Adam", betas);
  check_not_negative("Adam", "eps", eps);
}
void Adam::start(const array& p, Slots& s) const {
  fill_like(s, "m", p);
  fill_like(s, "v", p);
}
array Adam::apply(const array& g, const array& p, Slots& s, const Step& step) const {
  array rate = rate_for(g, step);
  array m = moved(betas[0], s["m"], g), v = moved(betas[1], s["v"], square(g));
  s["m"] = m;
  s["v"] = v;
  if (!bias_correction) return p - rate * m / (sqrt(v) + Weak(eps));
  auto left = [&](double b) { return 1_w - power(array(b), step.count); };
  array c1 = astype(rate / left(betas[0]), g.dtype());
  array c2 = astype(rsqrt(left(betas[1])), g.dtype());
  return p - c1 * m / (sqrt(v) * c2 + Weak(eps));
}

void AdamW::check() const {
  check_betas("AdamW", betas);
  check_not_negative("AdamW", "eps", eps);
}
void AdamW::start(const array& p, Slots& s) const { Adam().start(p, s); }
array AdamW::apply(const array& g, const array& p, Slots& s, const Step& step) const {
  array decayed = p * (1_w - rate_for(g, step) * Weak(weight_decay));
  Adam adam{.betas = betas, .eps = eps, .bias_correction = bias_correction};
  return adam.apply(g, decayed, s, step);
}

void Adamax::check() const {
  check_betas("Adamax", betas);
  check_not_negative("Adamax", "eps", eps);
}
void Adamax::start(const array& p, Slots& s) const { Adam().start(p, s); }
array Adamax::apply(const array& g, const array& p, Slots& s, const Step& step) const {
  array m = moved(betas[0], s["m"], g), v = maximum(Weak(betas[1]) * s["v"], abs(g));
  s["m"] = m;
  s["v"] = v;
  return p - rate_for(g, step) * m / (v + Weak(eps));
}

void Lion::check() const { check_betas("Lion", betas); }
void Lion::start(const array& p, Slots& s) const { fill_like(s, "m", p); }
array Lion::apply(const array& g, const array& p, Slots& s, const Step& step) const {
  array rate = rate_for(g, step), c = moved(betas[0], s["m"], g);
  s["m"] = moved(betas[1], s["m"], g);
  array decayed = weight_decay > 0 ? (1_w - rate * Weak(weight_decay)) * p : p;
  return decayed - rate * sign(c);
}

// --- Adafactor

namespace {
array root_mean_square(const array& x) { return sqrt(mean(square(x))); }

array adafactor_rate(const Adafactor& a, const array& size, const Step& step) {
  array rate = step.learning_rate;
  if (a.relative_step) {
    array least = a.warmup_init ? Weak(1e-6) * step.count : array(0.01f);
    rate = minimum(least, rsqrt(step.count));
  }
  rate = astype(rate, size.dtype());
  return a.scale_parameter ? maximum(size, Weak(a.eps[1])) * rate : rate;
}
}  // namespace

void Adafactor::check() const { check_positive("Adafactor", "clip_threshold", clip_threshold); }
void Adafactor::start(const array& p, Slots& s) const {
  if (p.ndim() >= 2) {
    Shape row(p.shape().begin(), p.shape().end() - 1), column(row.begin(), row.end() - 1);
    column.push_back(p.shape(-1));
    s.fill("exp_avg_sq_row", row, p.dtype());
    s.fill("exp_avg_sq_col", column, p.dtype());
  } else {
    fill_like(s, "exp_avg_sq", p);
  }
  if (beta_1) fill_like(s, "exp_avg", p);
}
array Adafactor::apply(const array& g, const array& p, Slots& s, const Step& step) const {
  array size = root_mean_square(p), rate = adafactor_rate(*this, size, step);
  array b2 = 1_w - astype(power(step.count, array(decay_rate)), size.dtype());
  auto tracked = [&](const char* name, const array& to) {
    return s[name] = b2 * s[name] + (1_w - b2) * to;
  };
  array squares = square(g) + Weak(eps[0]), update = g;
  if (g.ndim() >= 2) {
    array row = tracked("exp_avg_sq_row", mean(squares, -1));
    array column = tracked("exp_avg_sq_col", mean(squares, -2));
    array by_row = rsqrt(row / mean(row, -1, true));
    update = expand_dims(by_row, -1) * expand_dims(rsqrt(column), -2) * g;
  } else {
    update = rsqrt(tracked("exp_avg_sq", squares)) * g;
  }
  array excess = root_mean_square(update) / Weak(clip_threshold);
  update = rate * (update / maximum(excess, 1.0_w));
  if (beta_1) update = s["exp_avg"] = moved(*beta_1, s["exp_avg"], update);
  array decayed = weight_decay != 0 ? p + p * (Weak(-weight_decay) * rate) : p;
  return decayed - update;
}

// --- Muon

namespace {
// The matrix's singular values brought near 1 by an odd polynomial that converges fast from 0.
array orthogonalised(const array& matrix, int steps) {
  bool tall = matrix.shape(-2) > matrix.shape(-1);
  array x = tall ? transpose(matrix) : matrix;
  x = x / (sqrt(sum(square(x), true)) + 1e-7_w);
  for (int i = 0; i < steps; ++i) {
    array a = matmul(x, transpose(x));
    array b = addmm(Weak(-4.775) * a, a, a, 2.0315f, 1.0f);
    x = addmm(3.4445_w * x, b, x);
  }
  return tall ? transpose(x) : x;
}
}  // namespace

void Muon::check() const {
  require(ns_steps >= 0, "[Muon] ns_steps is {}; it must not be negative.", ns_steps);
}
void Muon::start(const array& p, Slots& s) const { fill_like(s, "v", p); }
array Muon::apply(const array& gradient, const array& p, Slots& s, const Step& step) const {
  array g = weight_decay != 0 ? gradient + Weak(weight_decay) * p : gradient;
  array v = moved(momentum, s["v"], g);
  s["v"] = v;
  array update = nesterov ? moved(momentum, v, g) : v, rate = rate_for(g, step);
  if (update.ndim() < 2) return p - rate * update;
  Shape shape = update.shape();
  update = reshape(orthogonalised(reshape(update, {shape[0], -1}), ns_steps), shape);
  double tall = static_cast<double>(update.shape(-2)) / static_cast<double>(update.shape(-1));
  return p - rate * Weak(std::sqrt(std::max(1.0, tall))) * update;
}

}  // namespace tarn::optim
