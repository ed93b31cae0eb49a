// Products that come from a file, see valid.h.
#include "ops/codes.h"
#include "ops/compound.h"
#include "ops/conv.h"
#include "ops/fft.h"
#include "ops/low_rank.h"
#include "ops/products.h"
#include "ops/sparse.h"
#include "ops/valid_words.h"

namespace tarn::ops {
namespace {

bool is_floating(const array& x) { return issubdtype(x.dtype(), floating); }

// Codes and scales that belong together, from in[first] on, and `behind` inputs after them. Throws
// what quantized_matmul throws.
bool are_codes(In in, size_t first, size_t behind, int group, int bits, Coding coding) {
  constexpr const char* modes[] = {"affine", "mxfp4", "mxfp8", "nvfp4"};
  if (coding > Coding::nvfp4) return false;
  bool affine = coding == Coding::affine;
  if (in.size() != first + (affine ? 3 : 2) + behind || in[first].ndim() < 1) return false;
  Format f = checked_format("import_function", group, bits, modes[static_cast<size_t>(coding)]);
  std::optional<array> biases;
  if (affine) biases = in[first + 2];
  check_weights("import_function", in[first], in[first + 1], biases, f);
  return !affine || (is_floating(in[first + 1]) && in[first + 2].dtype() == in[first + 1].dtype());
}
int64_t inner_of(const array& w, bool transpose, int bits) {
  return transpose ? w.shape(-1) * 32 / bits : w.shape(-2);
}
// One integer for each pair.
bool are_pairs(const array& lhs, const array& rhs) {
  return lhs.ndim() == 1 && lhs.shape() == rhs.shape() && is_index(lhs) && is_index(rhs);
}
// (B, S, 2) for b batches.
bool are_segments(const array& s, int64_t b) {
  return s.ndim() == 3 && s.shape(0) == b && s.shape(2) == 2 && is_index(s);
}

bool valid(type<Matmul>, const Params&, In in) {
  return in.size() == 2 && same_dtypes(in) && in_domain(Matmul::spec, in[0].dtype()) &&
         in[0].ndim() >= 2 && in[1].ndim() >= 2 && in[0].shape(-1) == in[1].shape(-2);
}
bool valid(type<QuantizedMatmul>, const Params& params, In in) {
  const auto& p = params.as<QuantizedMatmul::P>();
  if (p.precision > Precision::balanced || !are_codes(in, 1, 0, p.group, p.bits, p.coding))
    return false;
  return in[0].ndim() >= 2 && in[1].ndim() >= 2 && is_floating(in[0]) &&
         in[0].shape(-1) == inner_of(in[1], p.transpose, p.bits);
}
// A product whose last two inputs are a term's, the second (rank, outputs).
bool has_term(const QuantizedMatmul::P& p, In in) {
  if (in.size() < 5 || p.precision > Precision::balanced ||
      !are_codes(in, 1, 2, p.group, p.bits, p.coding))
    return false;
  const array &x = in[0], &w = in[1], &a = in[in.size() - 2], &b = in.back();
  return x.ndim() >= 2 && w.ndim() == 2 && a.ndim() == 2 && b.ndim() == 2 && is_floating(x) &&
         x.shape(-1) > 0 && x.shape(-1) == inner_of(w, p.transpose, p.bits) &&
         a.dtype() == x.dtype() && b.dtype() == x.dtype() && b.shape(0) == a.shape(1) &&
         b.shape(1) == inner_of(w, !p.transpose, p.bits);
}
bool valid(type<LowRankMatmul>, const Params& params, In in) {
  return has_term(params.as<LowRankMatmul::P>(), in) &&
         in[in.size() - 2].shape(0) == in[0].shape(-1);
}
bool valid(type<QuantizedMatmulPlus>, const Params& params, In in) {
  return has_term(params.as<QuantizedMatmulPlus::P>(), in) &&
         in[in.size() - 2].shape(0) == static_cast<int64_t>(in[0].size()) / in[0].shape(-1);
}
bool valid(type<LowRankRows>, const Params&, In in) {
  if (in.size() != 5 || !same_dtypes(in.first(4)) || !is_floating(in[0]) || !is_index(in[4]))
    return false;
  const array &y = in[0], &x = in[1], &a = in[2], &b = in[3], &index = in[4];
  if (y.ndim() < 1 || x.ndim() != y.ndim() || a.ndim() != 3 || b.ndim() != 3 || index.ndim() != 1)
    return false;
  bool rows = std::equal(x.shape().begin(), x.shape().end() - 1, y.shape().begin());
  int64_t count = 1;
  for (size_t i = 0; i + 1 < x.ndim(); ++i) count *= x.shape()[i];
  return rows && index.shape(0) == count && a.shape(0) == b.shape(0) && a.shape(1) == x.shape(-1) &&
         b.shape(1) == a.shape(2) && b.shape(2) == y.shape(-1);
}
bool valid(type<Dequantize>, const Params& params, In in) {
  const auto& p = params.as<Dequantize::P>();
  return are_codes(in, 0, 0, p.group, p.bits, p.coding) && issubdtype(p.dtype, floating);
}

bool valid(type<GatherMatmul>, const Params&, In in) {
  return in.size() == 4 && in[0].ndim() == 3 && in[1].ndim() == 3 && is_floating(in[0]) &&
         in[0].dtype() == in[1].dtype() && in[0].shape(2) == in[1].shape(1) &&
         are_pairs(in[2], in[3]);
}
bool valid(type<GatherQuantizedMatmul>, const Params& params, In in) {
  const auto& p = params.as<GatherQuantizedMatmul::P>();
  if (in.size() < 5 || !are_codes(in, 1, 2, p.group, p.bits, p.coding)) return false;
  return in[0].ndim() == 3 && in[1].ndim() == 3 && is_floating(in[0]) &&
         in[0].shape(2) == inner_of(in[1], p.transpose, p.bits) &&
         are_pairs(in[in.size() - 2], in.back());
}
bool valid(type<SegmentedMatmul>, const Params&, In in) {
  return in.size() == 3 && in[0].ndim() == 3 && in[1].ndim() == 3 && is_floating(in[0]) &&
         in[0].dtype() == in[1].dtype() && in[0].shape(0) == in[1].shape(0) &&
         in[0].shape(2) == in[1].shape(1) && are_segments(in[2], in[0].shape(0));
}
bool valid(type<SegmentedRows>, const Params&, In in) {
  return in.size() == 3 && in[0].ndim() == 3 && in[1].ndim() == 4 && is_floating(in[0]) &&
         in[0].dtype() == in[1].dtype() && in[0].shape(0) == in[1].shape(0) &&
         in[0].shape(2) == in[1].shape(2) && are_segments(in[2], in[0].shape(0)) &&
         in[1].shape(1) == in[2].shape(1);
}
bool valid(type<SparseMatmul>, const Params&, In in) {
  return in.size() == 4 && in[0].dtype() == int64 && in[1].dtype() == int64 && in[0].ndim() == 1 &&
         in[0].shape(0) > 0 && in[1].ndim() == 1 && in[2].shape() == in[1].shape() &&
         in[3].ndim() == 2 && in[2].dtype() == in[3].dtype() &&
         in_domain(SparseMatmul::spec, in[3].dtype());
}

// Sizes below 2^31 each, so that no sum of a few products of two overflows.
bool all_between(const Shape& shape, int64_t low, size_t count) {
  constexpr int64_t most = int64_t{1} << 31;
  return shape.size() == count &&
         std::ranges::all_of(shape, [&](int64_t d) { return d >= low && d < most; });
}
bool valid(type<Convolution>, const Params& params, In in) {
  const auto& p = params.as<Convolution::P>();
  if (in.size() != 2 || !same_dtypes(in) || in[0].ndim() < 3 || in[0].ndim() != in[1].ndim())
    return false;
  Dtype t = in[0].dtype();
  size_t n = in[0].ndim() - 2;
  bool sizes = all_between(p.stride, 1, n) && all_between(p.kernel_dilation, 1, n) &&
               all_between(p.input_dilation, 1, n) && all_between(p.lo, -(int64_t{1} << 31), n) &&
               all_between(p.hi, -(int64_t{1} << 31), n);
  if (!sizes || n > 3 || (t != float32 && t != float64 && t != complex64)) return false;
  const Shape &x = in[0].shape(), &w = in[1].shape();
  if (p.groups < 1 || w[0] % p.groups != 0 || x.back() != w.back() * p.groups) return false;
  for (size_t d = 0; d < n; ++d) {
    if (!all_between({x[d + 1], w[d + 1]}, 1, 2)) return false;
    int64_t room = reach(x[d + 1], p.input_dilation[d]) + p.lo[d] + p.hi[d];
    if (room < reach(w[d + 1], p.kernel_dilation[d])) return false;
  }
  return true;
}
bool valid(type<Fft>, const Params& params, In in) {
  int axis = params.as<Fft::P>().axis;
  if (in.size() != 1 || !is_axis(axis, in[0]) || size_at(in[0], axis) == 0) return false;
  Dtype t = in[0].dtype();
  return t == complex64 || t == float32 || t == float64;
}
bool valid(type<Rfft>, const Params& params, In in) {
  return in.size() == 1 && (in[0].dtype() == float32 || in[0].dtype() == float64) &&
         is_axis(params.as<Rfft::P>().axis, in[0]) && size_at(in[0], params.as<Rfft::P>().axis) > 0;
}
bool valid(type<Irfft>, const Params& params, In in) {
  const auto& p = params.as<Irfft::P>();
  return in.size() == 1 && in[0].dtype() == complex64 && is_axis(p.axis, in[0]) && p.n > 0 &&
         size_at(in[0], p.axis) == p.n / 2 + 1;
}

}  // namespace

void add_product_checks(std::unordered_map<const Op*, Check>& checks) {
  auto add = [&]<class T>(type<T>) {
    checks[&op_of<T>] = [](const Params& p, In in) { return valid(type<T>{}, p, in); };
  };
  ContractionOps::each(add);
  ProductOps::each(add);
  LowRankOps::each(add);
  ConvolutionOps::each(add);
  TransformOps::each(add);
  SparseOps::each(add);
  add(type<Dequantize>{});
}

}  // namespace tarn::ops
