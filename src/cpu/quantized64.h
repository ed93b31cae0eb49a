// Quantised matmul in float64: plain loops, a run of columns decoded at a time.
#pragma once

#include <cmath>
#include <limits>

#include "cpu/heavy.h"
#include "cpu/number.h"
#include "cpu/share.h"

namespace tarn::cpu {

// Numbers of weights as double, whatever the scales are stored in.
class Decoder {
 public:
  Decoder(const QuantMatrix& w, Dtype scales) : w_(w), scales_(scales) {}

  // Columns from..from + n of a row; `from` and n are multiples of the group.
  void decode(int64_t row, int64_t from, int64_t n, double* to) const {
    int64_t per_row = w_.cols / w_.group;
    for (int64_t c = 0; c < n; c += w_.group) {
      int64_t g = row * per_row + (from + c) / w_.group;
      double scale = number(w_.scales, g), bias = w_.biases ? number(w_.biases, g) : 0;
      for (int64_t i = c; i < c + w_.group; ++i) {
        double value = code(row, from + i);
        to[i] = w_.biases ? scale * value + bias : scale * value;
      }
    }
  }

 private:
  static double e4m3(unsigned code) {
    unsigned size = code & 127, exponent = size >> 3, fraction = size & 7;
    double value = exponent == 0
                       ? fraction * 0x1p-9
                       : (8 + fraction) * std::ldexp(1.0, static_cast<int>(exponent) - 10);
    if (size == 127) value = std::numeric_limits<double>::quiet_NaN();
    return code & 128 ? -value : value;
  }
  double number(const void* base, int64_t i) const {
    if (w_.kind == CodeKind::affine) {
      double value = 0;
      visit_dtype(scales_, [&](auto t) {
        if constexpr (!is_complex<decltype(t)>)
          value = static_cast<double>(widen(static_cast<const decltype(t)*>(base)[i]));
      });
      return value;
    }
    unsigned stored = static_cast<const uint8_t*>(base)[i];
    if (w_.kind == CodeKind::nvfp4) return e4m3(stored);
    return stored == 255 ? std::numeric_limits<double>::infinity()
                         : std::ldexp(1.0, static_cast<int>(stored) - 127);
  }
  double code(int64_t row, int64_t column) const {
    int64_t bit = (row * w_.cols + column) * w_.bits;
    const auto* at = static_cast<const uint8_t*>(w_.codes) + bit / 8;
    int shift = static_cast<int>(bit % 8);
    unsigned word = at[0];
    if (shift + w_.bits > 8) word |= static_cast<unsigned>(at[1]) << 8;
    unsigned code = word >> shift & ((1u << w_.bits) - 1);
    if (w_.kind == CodeKind::affine) return code;
    if (w_.kind == CodeKind::mxfp8) return e4m3(code);
    static constexpr double sizes[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    return code & 8 ? -sizes[code & 7] : sizes[code & 7];
  }

  const QuantMatrix& w_;
  Dtype scales_;
};

struct Product64 {
  const double* x = nullptr;  // m rows
  double* y = nullptr;
  int64_t m = 0;
  QuantMatrix w{};
  Dtype scales{};
  bool transpose = true;
};
constexpr int64_t run64 = 256;  // columns decoded at a time; a multiple of every group

inline void multiply64(const Product64& q, int worker, int workers) {
  const Decoder decoder(q.w, q.scales);
  double numbers[run64];
  int64_t n = q.transpose ? q.w.rows : q.w.cols, k = q.transpose ? q.w.cols : q.w.rows;
  Share mine = share(n, worker, workers, q.transpose ? 1 : 128);
  for (int64_t t = 0; t < q.m; ++t)
    for (int64_t j = mine.from; j < mine.to; ++j) q.y[t * n + j] = 0;
  if (q.transpose) {
    for (int64_t j = mine.from; j < mine.to; ++j)
      for (int64_t c = 0; c < k; c += run64) {
        int64_t width = std::min(run64, k - c);
        decoder.decode(j, c, width, numbers);
        for (int64_t t = 0; t < q.m; ++t) {
          double sum = 0;
          for (int64_t i = 0; i < width; ++i) sum += q.x[t * k + c + i] * numbers[i];
          q.y[t * n + j] += sum;
        }
      }
    return;
  }
  for (int64_t c = mine.from; c < mine.to; c += run64)
    for (int64_t r = 0; r < k; ++r) {
      int64_t width = std::min(run64, mine.to - c);
      decoder.decode(r, c, width, numbers);
      for (int64_t t = 0; t < q.m; ++t)
        for (int64_t i = 0; i < width; ++i) q.y[t * n + c + i] += q.x[t * k + r] * numbers[i];
    }
}

}  // namespace tarn::cpu
