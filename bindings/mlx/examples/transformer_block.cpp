// A transformer block learns to look back, written for MLX: its headers are all it includes.
// Attention with rotary positions, RMS norms and a gated feed-forward layer; the task is to say
// which token stood three places earlier, which takes attention to a relative position.
#include <cmath>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "mlx/mlx.h"

namespace mx = mlx::core;

using Arrays = std::vector<mx::array>;

constexpr int vocabulary = 16, width = 32, heads = 4, head = width / heads, hidden = 64;
constexpr int length = 24, batch = 16, back = 3;

// The parameters by position.
enum { embedding, norm_1, wq, wk, wv, wo, norm_2, gate, up, down, norm_3, parameters };

Arrays initial() {
  auto dense = [](int in, int out) {
    return mx::random::normal({in, out}) * (1 / std::sqrt(static_cast<float>(in)));
  };
  return {mx::random::normal({vocabulary, width}),
          mx::ones({width}),
          dense(width, width),
          dense(width, width),
          dense(width, width),
          dense(width, width),
          mx::ones({width}),
          dense(width, hidden),
          dense(width, hidden),
          dense(hidden, width),
          mx::ones({width})};
}

// x (B, T, width) to (B, heads, T, head).
mx::array split_heads(const mx::array& x) {
  return mx::transpose(mx::reshape(x, {x.shape(0), x.shape(1), heads, head}), {0, 2, 1, 3});
}

mx::array attention(const Arrays& p, const mx::array& x) {
  auto q = mx::fast::rope(split_heads(mx::matmul(x, p[wq])), head, false, 100.0f, 1.0f, 0);
  auto k = mx::fast::rope(split_heads(mx::matmul(x, p[wk])), head, false, 100.0f, 1.0f, 0);
  auto v = split_heads(mx::matmul(x, p[wv]));
  float scale = 1 / std::sqrt(static_cast<float>(head));
  auto out = mx::fast::scaled_dot_product_attention(q, k, v, scale, "causal");
  return mx::matmul(mx::reshape(mx::transpose(out, {0, 2, 1, 3}), x.shape()), p[wo]);
}

mx::array feed_forward(const Arrays& p, const mx::array& x) {
  auto g = mx::matmul(x, p[gate]);
  return mx::matmul(g * mx::sigmoid(g) * mx::matmul(x, p[up]), p[down]);
}

// tokens (B, T) to the logits (B, T, vocabulary); the embedding is the output layer too.
mx::array forward(const Arrays& p, const mx::array& tokens) {
  auto x = mx::take(p[embedding], tokens, 0);
  x = x + attention(p, mx::fast::rms_norm(x, p[norm_1], 1e-5f));
  x = x + feed_forward(p, mx::fast::rms_norm(x, p[norm_2], 1e-5f));
  x = mx::fast::rms_norm(x, p[norm_3], 1e-5f);
  return mx::matmul(x, mx::transpose(p[embedding])) * (1 / std::sqrt(static_cast<float>(width)));
}

// The mean over the positions that have a token `back` places before them.
mx::array loss(const Arrays& p, const mx::array& tokens) {
  auto all = forward(p, tokens);
  auto logits = mx::slice(all, {0, back, 0}, {batch, length, vocabulary});
  auto labels = mx::expand_dims(mx::slice(tokens, {0, 0}, {batch, length - back}), 2);
  return mx::mean(mx::logsumexp(logits, 2, true) - mx::take_along_axis(logits, labels, 2));
}

mx::array random_tokens() {
  return mx::random::randint(0, vocabulary, {batch, length}, mx::uint32);
}

// The slope along a direction, by derivative and by difference.
bool gradient_holds(const Arrays& p, const mx::array& tokens, const Arrays& grads) {
  const float h = 1e-2f;
  Arrays ahead, behind;
  auto slope = mx::array(0.0f), squares = mx::array(0.0f);
  for (const auto& g : grads) squares = squares + mx::sum(mx::square(g));
  auto unit = mx::rsqrt(squares);
  for (size_t i = 0; i < p.size(); ++i) {
    ahead.push_back(p[i] + h * unit * grads[i]);
    behind.push_back(p[i] - h * unit * grads[i]);
    slope = slope + mx::sum(grads[i] * grads[i]) * unit;
  }
  auto measured = (loss(ahead, tokens) - loss(behind, tokens)) / (2 * h);
  float a = slope.item<float>(), b = measured.item<float>();
  std::cout << "slope " << a << ", by difference " << b << "\n";
  return std::abs(a - b) < 0.01f * std::abs(a);
}

int main() {
  mx::random::seed(5);
  Arrays params = initial();
  std::vector<int> argnums;
  for (int i = 0; i < parameters; ++i) argnums.push_back(i);
  auto loss_and_grads = mx::value_and_grad(
      [](const Arrays& in) { return loss(Arrays(in.begin(), in.end() - 1), in.back()); }, argnums);

  auto with = [&](mx::array tokens) {
    auto in = params;
    in.push_back(std::move(tokens));
    return in;
  };
  auto probe = random_tokens();
  if (!gradient_holds(params, probe, loss_and_grads(with(probe)).second)) {
    std::cerr << "the gradient is wrong\n";
    return 1;
  }

  // Gradient descent with momentum; every step runs one compiled graph.
  auto step = mx::compile([&](const Arrays& in) {
    Arrays now(in.begin(), in.begin() + parameters + 1);
    auto [value, grads] = loss_and_grads(now);
    Arrays out{value};
    for (int i = 0; i < parameters; ++i) {
      auto speed = 0.9f * in[static_cast<size_t>(parameters + 1 + i)] + grads[i];
      out.push_back(in[static_cast<size_t>(i)] - 0.1f * speed);
      out.push_back(speed);
    }
    return out;
  });
  Arrays speeds;
  for (const auto& p : params) speeds.push_back(mx::zeros_like(p));
  const int steps = 500, averaged = 20;
  float first = 0, last = 0;
  for (int i = 0; i < steps; ++i) {
    auto in = with(random_tokens());
    in.insert(in.end(), speeds.begin(), speeds.end());
    auto out = step(in);
    for (size_t j = 0; j < params.size(); ++j) {
      params[j] = out[1 + 2 * j];
      speeds[j] = out[2 + 2 * j];
    }
    mx::eval(out);
    float now = out[0].item<float>();
    if (i == 0) first = now;
    if (i >= steps - averaged) last += now / averaged;
  }
  std::cout << "loss " << first << " at first, " << last << " in the last steps\n";
  if (!(last < 0.3f)) {  // log(16) = 2.8 is what guessing gives
    std::cerr << "the block has not learnt to look back\n";
    return 1;
  }
}
