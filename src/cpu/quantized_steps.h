// Steps that multiply by quantised weights, in the words of their kernels.
#pragma once

#include <algorithm>

#include "cpu/heavy.h"
#include "cpu/move.h"
#include "cpu/reduce.h"
#include "ops/products.h"

namespace tarn::cpu {

using ops::Coding;

inline int64_t size_at(const Operand& o, int from_end) {
  return o.shape[o.shape.size() - static_cast<size_t>(from_end)];
}

// --- weights

// An op's weights among its inputs: `count` matrices, the first of which is `first`.
struct Weights {
  QuantMatrix first{};
  int64_t count = 0, code_bytes = 0, scale_bytes = 0;
  Dtype scale_dtype{};

  QuantMatrix at(int64_t i) const {
    auto moved = [](const void* p, int64_t bytes) {
      return p ? static_cast<const void*>(static_cast<const std::byte*>(p) + bytes) : nullptr;
    };
    QuantMatrix m = first;
    m.codes = moved(m.codes, i * code_bytes);
    m.scales = moved(m.scales, i * scale_bytes);
    m.biases = moved(m.biases, i * scale_bytes);
    return m;
  }
};
// Codes, scales and, when affine, biases are inputs from the one at `at` on.
template <class P>
Weights weights_of(const Step& s, size_t at, const P& p) {
  const Operand &w = s.in[at], &scales = s.in[at + 1];
  Weights all;
  QuantMatrix& q = all.first;
  q.codes = w.data;
  q.scales = scales.data;
  if (p.coding == Coding::affine) q.biases = s.in[at + 2].data;
  q.rows = size_at(w, 2);
  q.cols = size_at(w, 1) * 32 / p.bits;
  q.bits = p.bits;
  q.group = p.group;
  q.kind = static_cast<CodeKind>(p.coding);
  if (p.coding == Coding::affine && is_store(scales.dtype)) q.scale_type = store_of(scales.dtype);
  all.scale_dtype = scales.dtype;
  all.code_bytes = q.rows * q.cols * q.bits / 8;
  all.scale_bytes = q.rows * (q.cols / q.group) * scales.dtype.size;
  all.count = w.size() / std::max<int64_t>(q.rows * size_at(w, 1), 1);
  return all;
}
static_assert(int(Coding::mxfp8) == int(CodeKind::mxfp8) && int(Coding::nvfp4) == 3);

// x's matrices as rows of one where there is one matrix of weights.
inline Qmm qmm_of(const Step& s) {
  const auto& p = s.params->as<ops::QuantizedMatmul::P>();
  Qmm q;
  Weights w = weights_of(s, 1, p);
  q.w = w.first;
  q.transpose = p.transpose;
  q.x = s.in[0].as<const float>();
  q.x_stride = size_at(s.in[0], 1);
  q.m = w.count == 1 ? s.in[0].size() / std::max<int64_t>(q.x_stride, 1) : size_at(s.in[0], 2);
  q.y = s.out.as<float>();
  q.y_stride = size_at(s.out, 1);
  return q;
}
// The same and the term beside it, the inputs behind the weights.
inline Qmm qmm_plus_of(const Step& s) {
  Qmm q = qmm_of(s);
  size_t at = s.params->as<ops::QuantizedMatmul::P>().coding == Coding::affine ? 4 : 3;
  q.u = s.in[at].as<const float>(), q.b = s.in[at + 1].as<const float>();
  q.rank = s.in[at].shape[1];
  return q;
}
inline bool affine_store(const Step& s, size_t at) {
  return is_store(s.in[at].dtype) && s.in[at].dtype == s.in[at + 1].dtype;
}
// What rounds the rows of products, there and back, once for all that read them.
extern const Packing packed_activations, packed_cotangents;

inline bool has_numbers(const Step& s) { return s.out.size() > 0 && s.in[0].size() > 0; }
template <class T>
inline bool takes(const Step& s) {
  bool affine = s.params->as<typename T::P>().coding == Coding::affine;
  return s.in[0].dtype == float32 && has_numbers(s) && (!affine || affine_store(s, 2));
}
inline double packing_cost(const Step& s) { return 1.0 * static_cast<double>(s.in[0].size()); }
inline double qmm_cost(const Step& s) {
  Qmm q = qmm_of(s);
  double products = static_cast<double>(s.out.size()) /
                    static_cast<double>(std::max<int64_t>(q.m * q.y_stride, 1));
  return 0.03 * static_cast<double>(q.w.rows) * static_cast<double>(q.w.cols) *
         std::max(1.0, static_cast<double>(q.m) * 0.5) * products;
}

}  // namespace tarn::cpu
