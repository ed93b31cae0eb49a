// Layers of language models. Weights may be quantised: then scales and biases are there.
#pragma once

#include <cstdint>
#include <optional>

#include "tarn/array.h"
#include "tarn/fields.h"

namespace tarn::nn {

// A matrix (rows, columns), dense or quantised along its columns.
struct Matrix {
  array weight{};
  std::optional<array> scales{}, biases{};
  int group_size = 64, bits = 4;  // of a quantised weight
  int64_t rows = 0, columns = 0;

  bool quantised() const { return scales.has_value(); }
  // x (..., columns) times the transpose: (..., rows).
  array times(const array& x) const;
  // The rows that `ids` name: ids.shape() + (columns,), float32 when quantised.
  array take_rows(const array& ids) const;
  // The numbers, in float32.
  array dense() const;
};

// x W^T + b, x (..., inputs), W (outputs, inputs).
struct Linear : Matrix {
  std::optional<array> bias{};
  TARN_FIELDS(weight, scales, biases, bias)
  // The shape only; loading fills in the numbers.
  static Linear of(int64_t inputs, int64_t outputs, bool bias = false);
  array operator()(const array& x) const;
};

struct Embedding : Matrix {
  TARN_FIELDS(weight, scales, biases)
  static Embedding of(int64_t count, int64_t size);
  array operator()(const array& ids) const { return take_rows(ids); }
  // As the output layer that shares these weights.
  array as_linear(const array& x) const { return times(x); }
};

struct RmsNorm {
  array weight{};
  float eps = 1e-5f;
  int64_t size = 0;
  TARN_FIELDS(weight)
  static RmsNorm of(int64_t size, float eps);
  array operator()(const array& x) const;
};

// x / (1 + exp(-x)).
array silu(const array& x);

}  // namespace tarn::nn
