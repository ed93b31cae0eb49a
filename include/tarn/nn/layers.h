// Matrices as layers: linear maps and tables of rows. Weights may be quantised: that is a state of
// the layer, with scales and perhaps biases beside the weight. Low-rank terms are another.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tarn/array.h"
#include "tarn/fields.h"
#include "tarn/nn/activations.h"
#include "tarn/nn/low_rank.h"
#include "tarn/nn/norms.h"

namespace tarn::nn {

// A matrix (rows, columns), dense or quantised along its columns.
struct Matrix {
  array weight{};
  std::optional<array> scales{}, biases{};
  // Of a quantised weight; modes are those of tarn::quantize.
  int group_size = 64, bits = 4;
  std::string mode = "affine";
  bool quantize_input = false;  // what is multiplied by the weight is rounded in the same way
  int64_t rows = 0, columns = 0;
  LowRanks low_rank{};

  bool quantised() const { return scales.has_value(); }
  // A quantised matrix does not train; what stands beside it does. Beside low-rank terms nothing
  // else does.
  bool trains(std::string_view field) const {
    if (!low_rank.empty()) return field == "low_rank";
    return !quantised() || field == "bias";
  }
  // x (..., columns) times the transpose: (..., rows). This and what follows is without the
  // low-rank terms.
  array times(const array& x) const;
  // The rows that `ids` name: ids.shape() + (columns,), float32 when quantised.
  array take_rows(const array& ids) const;
  // The numbers, in float32.
  array dense() const;
};

// x W^T + b, x (..., inputs), W (outputs, inputs).
struct Linear : Matrix {
  std::optional<array> bias{};
  TARN_FIELDS(weight, scales, biases, bias, low_rank)
  // The shape only; loading fills in the numbers.
  static Linear of(int64_t inputs, int64_t outputs, bool bias = false);
  // Uniform numbers within 1 / sqrt(inputs).
  static Linear init(int64_t inputs, int64_t outputs, const array& key, bool bias = true);
  array operator()(const array& x) const;
};

// Rows by their numbers: W (count, size).
struct Embedding : Matrix {
  TARN_FIELDS(weight, scales, biases, low_rank)
  static Embedding of(int64_t count, int64_t size);
  // Normal numbers of deviation 1 / sqrt(size).
  static Embedding init(int64_t count, int64_t size, const array& key);
  array operator()(const array& ids) const;
  // As the output layer that shares these weights.
  array as_linear(const array& x) const;
};

// x2^T W x1 + b for each output: x1 (..., inputs1), x2 (..., inputs2), W (outputs, inputs2,
// inputs1).
struct Bilinear {
  array weight{};
  std::optional<array> bias{};
  TARN_FIELDS(weight, bias)
  // Uniform numbers within 1 / sqrt(inputs1).
  static Bilinear init(int64_t inputs1, int64_t inputs2, int64_t outputs, const array& key,
                       bool bias = true);
  array operator()(const array& x1, const array& x2) const;
};

// x.
struct Identity {
  TARN_FIELDS()
  array operator()(const array& x) const { return x; }
};

}  // namespace tarn::nn
