// Words that launchers share: how arrays lie, for kernels.
#pragma once

#include "base/require.h"
#include "cuda/reduce.h"
#include "cuda/strided.h"
#include "graph/collapse.h"
#include "runtime/backend.h"

namespace tarn::cuda {

static_assert(most_calls == most_joined);

// A dtype's column in tables and kernels: its place in Dtype::Val.
inline int column(Dtype t) { return static_cast<int>(t.val); }
inline FoldIn fold_in(Dtype t) {
  if (issubdtype(t, floating)) return FoldIn::real;
  return t == bool_ || issubdtype(t, unsignedinteger) ? FoldIn::natural : FoldIn::integer;
}

// At most eight axes are left when none could be joined: a row's `fits` has to see to that.
inline Strided strided(const Shape& shape, const Strides& strides) {
  Collapsed c = collapse(shape, strides);
  require(c.shape.size() <= most_axes, "[cuda] an array of {} axes in a kernel for {}.",
          c.shape.size(), most_axes);
  Strided s;
  s.axes = static_cast<int>(c.shape.size());
  for (size_t i = 0; i < c.shape.size(); ++i) s.size[i] = c.shape[i], s.stride[i] = c.strides[i];
  return s;
}
inline int64_t size_at(const Operand& o, int from_end) {
  return o.shape[o.shape.size() - static_cast<size_t>(from_end)];
}
inline int64_t stride_at(const Operand& o, int from_end) {
  return o.strides[o.strides.size() - static_cast<size_t>(from_end)];
}
inline bool is_small_float(Dtype t) { return t == float32 || t == float16 || t == bfloat16; }
// Affine codes with factors of one type of float, and results that are floats.
inline bool affine_floats(const Step& s, size_t scales) {
  return is_small_float(s.in[scales].dtype) && s.in[scales].dtype == s.in[scales + 1].dtype &&
         is_small_float(s.out.dtype);
}

}  // namespace tarn::cuda
