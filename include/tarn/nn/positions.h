// Encodings of positions.
#pragma once

#include <cstdint>
#include <optional>

#include "tarn/array.h"
#include "tarn/fields.h"

namespace tarn::nn {

// Rotary embedding of x (..., T, D), see fast::rope. Su et al. 2021, "RoFormer".
struct RoPE {
  int dims = 0;
  bool traditional = false;
  float base = 10000, scale = 1;
  TARN_FIELDS()
  array operator()(const array& x, int offset = 0) const;
};

// Sines and cosines of x times dims / 2 frequencies from max_freq down to min_freq: x.shape() +
// (dims,). Vaswani et al. 2017, "Attention Is All You Need". Throws ValueError unless dims is
// positive and even.
struct SinusoidalPositionalEncoding {
  int dims = 0;
  double min_freq = 0.0001, max_freq = 1;
  std::optional<double> scale{};  // sqrt(2 / dims) unless given
  bool cos_first = false;
  bool full_turns = false;  // frequencies are in turns, not in radians
  TARN_FIELDS()
  array operator()(const array& x) const;
};

// Attention scores (N, heads, queries, keys) less a slope of the head's own times the distance.
// Press et al. 2021, "Train Short, Test Long".
struct ALiBi {
  TARN_FIELDS()
  // (heads, 1, 1).
  static array slopes(int64_t heads, Dtype dtype = float32);
  // (1, heads, queries, keys): -|offset + q - k| * slope.
  static array matrix(int64_t queries, int64_t keys, int64_t heads, int64_t offset = 0,
                      Dtype dtype = float32);
  // The mask, if any, is added to the scores.
  array operator()(const array& scores, int64_t offset = 0,
                   const std::optional<array>& mask = std::nullopt) const;
};

}  // namespace tarn::nn
