// Products in which activations are quantised as well.
#include "ops/codes.h"
#include "tarn/ops/products.h"

namespace tarn {

using namespace ops;

namespace {

// x as it is after quantisation, in its own dtype; derivatives see x itself.
array rounded(const array& x, const Format& f, const std::string& mode,
              const std::optional<array>& global, StreamOrDevice s) {
  auto parts = quantize(x, f.group, f.bits, mode, global, s);
  array value =
      dequantize(parts[0], parts[1], std::nullopt, f.group, f.bits, mode, global, x.dtype(), s);
  return add(stop_gradient(value, s), subtract(x, stop_gradient(x, s), s), s);
}

// What both products are told, checked.
struct Quantities {
  Format format{};
  bool packed = false;  // w is codes already
};
Quantities checked(const char* op, const array& x, const array& w,
                   const std::optional<array>& scales, std::optional<int> group_size,
                   std::optional<int> bits, const std::string& mode,
                   const std::optional<array>& global_x, const std::optional<array>& global_w) {
  Quantities q{checked_format(op, group_size, bits, mode), w.dtype() == uint32};
  require(q.format.coding != Coding::affine,
          "[{}] mode is \"affine\"; it must be \"mxfp4\", \"mxfp8\" or \"nvfp4\".", op);
  require(issubdtype(x.dtype(), floating), "[{}] x is {}; it must be a float.", op,
          name_of(x.dtype()));
  require(q.packed || issubdtype(w.dtype(), floating),
          "[{}] w is {}; it must be floats, or codes in uint32.", op, name_of(w.dtype()));
  require(scales.has_value() == q.packed, "[{}] w is {}: it {} scales.", op, name_of(w.dtype()),
          q.packed ? "needs" : "has no");
  if (q.packed) check_weights(op, w, *scales, std::nullopt, q.format);
  check_global_scale(op, global_x, q.format);
  check_global_scale(op, global_w, q.format);
  require(global_x.has_value() == global_w.has_value(),
          "[{}] one global scale is given; both are needed, or neither.", op);
  int64_t inner = w.ndim() == 0 ? 0 : q.packed ? w.shape(-1) * 32 / q.format.bits : w.shape(-1);
  require<ShapeError>(x.ndim() >= 2 && w.ndim() >= 2 && x.shape(-1) == inner,
                      "[{}] x has shape {} and w {}: both need 2 axes, and {} columns are not {}.",
                      op, text_of(x.shape()), text_of(w.shape()), x.ndim() ? x.shape(-1) : 1,
                      inner);
  require<ShapeError>(inner % q.format.group == 0,
                      "[{}] x has shape {}; its last size must be a multiple of {}.", op,
                      text_of(x.shape()), q.format.group);
  return q;
}
// A product with packed codes knows no global scale: it follows.
array scaled(const array& out, const std::optional<array>& global, Dtype t, StreamOrDevice s) {
  array scaled = global ? multiply(out, astype(global_factor(*global), out.dtype(), s), s) : out;
  return astype(scaled, t, s);
}
// Products are computed in float32 at least, and rounded once.
array wide(const array& x, StreamOrDevice s) {
  return astype(x, x.dtype() == float64 ? float64 : float32, s);
}

}  // namespace

array qqmm(array x, array w, std::optional<array> w_scales, std::optional<int> group_size,
           std::optional<int> bits, const std::string& mode, std::optional<array> global_scale_x,
           std::optional<array> global_scale_w, StreamOrDevice s) {
  Quantities q =
      checked("qqmm", x, w, w_scales, group_size, bits, mode, global_scale_x, global_scale_w);
  require<ShapeError>(w.ndim() == 2, "[qqmm] w has shape {}; it must have 2 axes.",
                      text_of(w.shape()));
  array left = wide(rounded(x, q.format, mode, global_scale_x, s), s);
  if (q.packed) {
    array out = quantized_matmul(left, w, *w_scales, std::nullopt, true, q.format.group,
                                 q.format.bits, mode, s);
    return scaled(out, global_scale_w, x.dtype(), s);
  }
  array right = wide(rounded(w, q.format, mode, global_scale_w, s), s);
  return astype(matmul(left, swapaxes(right, -1, -2, s), s), x.dtype(), s);
}

array gather_qqmm(const array& x, const array& w, const std::optional<array>& scales_w,
                  std::optional<array> lhs_indices, std::optional<array> rhs_indices,
                  std::optional<int> group_size, std::optional<int> bits, const std::string& mode,
                  const std::optional<array>& global_scale_x,
                  const std::optional<array>& global_scale_w, bool sorted_indices,
                  StreamOrDevice s) {
  Quantities q = checked("gather_qqmm", x, w, scales_w, group_size, bits, mode, global_scale_x,
                         global_scale_w);
  array left = wide(rounded(x, q.format, mode, global_scale_x, s), s);
  if (q.packed) {
    array out = gather_qmm(left, w, *scales_w, std::nullopt, lhs_indices, rhs_indices, true,
                           q.format.group, q.format.bits, mode, sorted_indices, s);
    return scaled(out, global_scale_w, x.dtype(), s);
  }
  array right = wide(rounded(w, q.format, mode, global_scale_w, s), s);
  array out =
      gather_mm(left, swapaxes(right, -1, -2, s), lhs_indices, rhs_indices, sorted_indices, s);
  return astype(out, x.dtype(), s);
}

}  // namespace tarn
