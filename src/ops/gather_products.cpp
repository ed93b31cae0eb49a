// Products of pairs of matrices that indices choose, dense and quantised.
#include "ops/products.h"

namespace tarn {

using namespace ops;

namespace ops {
namespace {

constexpr int64_t outside = int64_t{1} << 62;  // an index that no array has

// Indices from 0 on as int64; what was outside stays outside when batches lie behind each other.
array counted(const array& index, int64_t n) {
  array i = astype(index, int64);
  array at = where(i < array(int64_t{0}), i + array(n), i);
  array inside = logical_and(at >= array(int64_t{0}), at < array(n));
  return where(inside, at, array(outside));
}
// Indices (V, P) among n matrices of each of V examples as indices among all, or among n that are
// shared.
array batched_index(const array& index, bool mapped, bool values_mapped, int64_t n,
                    const Batch& batch) {
  array i = batched(counted(index, n), mapped, batch.size);
  if (values_mapped) {
    array none = array(outside);
    array first = reshape(arange(0.0, double(batch.size), int64), {batch.size, 1}) * array(n);
    i = where(equal(i, none), none, i + first);
  }
  return flatten(i);
}
// Whether any of inputs from..to carries the batch, and those inputs with the batch folded into
// their first axis when one does.
bool fold_batch(Arrays& in, size_t from, size_t to, const Batch& batch) {
  bool any = false;
  for (size_t i = from; i < to; ++i) any |= batch.mapped[i];
  for (size_t i = from; any && i < to; ++i)
    in[i] = flatten(batched(in[i], batch.mapped[i], batch.size), 0, 1);
  return any;
}
// The common part of both ops' vmap: values 0, then from 1 to `indices`, then two index arrays.
Arrays gather_batches(const Op& op, const Params& params, std::span<const array> in,
                      const Batch& batch) {
  size_t at = in.size() - 2;
  Arrays all(in.begin(), in.end());
  int64_t n = in[0].shape(batch.mapped[0] ? 1 : 0), m = in[1].shape(batch.mapped[1] ? 1 : 0);
  int64_t pairs = in[at].shape(-1);
  bool left = fold_batch(all, 0, 1, batch), right = fold_batch(all, 1, at, batch);
  all[at] = batched_index(in[at], batch.mapped[at], left, n, batch);
  all[at + 1] = batched_index(in[at + 1], batch.mapped[at + 1], right, m, batch);
  array out = record(op, params, std::move(all), {});
  return {reshape(out, {batch.size, pairs, out.shape(1), out.shape(2)})};
}

array all_pairs(const array& index) { return arange(0.0, double(index.size()), int64); }
// Products (P, M, K) of pairs added up where `index` says, as (n, M, K).
array added_up(const array& products, const array& index, int64_t n) {
  Shape shape{n, products.shape(1), products.shape(2)};
  if (products.size() == 0) return zeros(shape, products.dtype());
  return scatter_add(zeros(shape, products.dtype()), index, expand_dims(products, 1), 0);
}
// For each of n: the sum over the pairs p with rhs[p] there of left[lhs[p]] transposed times
// right[p], as (n, ...). Sorted by rhs each sum is one product, so no pair needs one of its own.
array summed_products(const array& left, const array& lhs, const array& right, const array& rhs,
                      int64_t n) {
  array at = counted(rhs, n), order = argsort(at, 0);
  array a = flatten(take(left, take(lhs, order, 0), 0), 0, 1);
  array b = flatten(take(right, order, 0), 0, 1);
  array each = expand_dims(arange(0.0, double(n), int64), 1), found = expand_dims(at, 0);
  array rows = array(right.shape(1));
  array from = sum(astype(found < each, int64), 1) * rows;
  array to = sum(astype(found <= each, int64), 1) * rows;
  return segmented_mm(swapaxes(a, 0, 1), b, stack({from, to}, 1));
}

}  // namespace

// --- dense

ArraySpec GatherMatmul::infer(const Params&, std::span<const array> in) {
  return {{in[2].shape(0), in[0].shape(1), in[1].shape(2)}, in[0].dtype()};
}
Arrays GatherMatmul::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  return gather_batches(op_of<GatherMatmul>, p, in, batch);
}
std::vector<Maybe> GatherMatmul::transpose(const Call& call, const array& g) {
  const array &a = call.in[0], &b = call.in[1], &lhs = call.in[2], &rhs = call.in[3];
  array left = record(op_of<GatherMatmul>, {}, {g, swapaxes(b, 1, 2), all_pairs(rhs), rhs}, {});
  return {added_up(left, lhs, a.shape(0)), summed_products(a, lhs, g, rhs, b.shape(0)), Maybe{},
          Maybe{}};
}

// --- quantised

ArraySpec GatherQuantizedMatmul::infer(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  int64_t columns = p.transpose ? in[1].shape(1) : in[1].shape(2) * 32 / p.bits;
  return {{in.back().shape(0), in[0].shape(1), columns}, in[0].dtype()};
}
Arrays GatherQuantizedMatmul::vmap(const Params& p, std::span<const array> in, const Batch& batch) {
  return gather_batches(op_of<GatherQuantizedMatmul>, p, in, batch);
}
Arrays GatherQuantizedMatmul::expand(const Params& params, std::span<const array> in) {
  const auto& p = params.as<P>();
  array w = record(op_of<Dequantize>, Dequantize::P{p.group, p.bits, in[0].dtype(), p.coding},
                   {in.begin() + 1, in.end() - 2}, {});
  array chosen = take(w, in.back(), 0), x = take(in[0], in[in.size() - 2], 0);
  return {matmul(x, p.transpose ? swapaxes(chosen, 1, 2) : chosen)};
}
std::vector<Maybe> GatherQuantizedMatmul::transpose(const Call& call, const array& g) {
  auto p = call.params.as<P>();
  const array &x = call.in[0], &lhs = call.in[call.in.size() - 2], &rhs = call.in.back();
  P back = p;
  back.transpose = !p.transpose;
  Arrays in(call.in.begin(), call.in.end());
  in[0] = g;
  in[in.size() - 2] = all_pairs(rhs);
  std::vector<Maybe> result(in.size());
  array left = record(op_of<GatherQuantizedMatmul>, back, in, {});
  result[0] = added_up(left, lhs, x.shape(0));
  if (p.coding != Coding::affine) return result;
  // (E, K, N), turned where the weights are (E, N, K).
  array dense = summed_products(x, lhs, g, rhs, in[1].shape(0));
  array per_group = grouped(p.transpose ? swapaxes(dense, 1, 2) : dense, p.group);
  array codes = grouped(astype(unpacked(in[1], p.bits), x.dtype()), p.group);
  result[2] = astype(sum(per_group * codes, -1), in[2].dtype());
  result[3] = astype(sum(per_group, -1), in[3].dtype());
  return result;
}
std::vector<Maybe> GatherQuantizedMatmul::jvp(const Call& call, std::span<const Maybe> t) {
  const auto& p = call.params.as<P>();
  Arrays in(call.in.begin(), call.in.end());
  Maybe sum;
  if (t[0]) {
    in[0] = *t[0];
    sum = record(op_of<GatherQuantizedMatmul>, p, in, {});
  }
  if (p.coding != Coding::affine || !(t[2] || t[3])) return {sum};
  in[0] = call.in[0];
  for (size_t i : {2, 3}) in[i] = t[i] ? *t[i] : zeros_like(call.in[i]);
  array term = record(op_of<GatherQuantizedMatmul>, p, std::move(in), {});
  return {sum ? *sum + term : term};
}

}  // namespace ops

namespace {

// Two index arrays, broadcast against each other, and their shape.
struct Pairs {
  array lhs, rhs;
  Shape shape{};
};
Pairs pairs_of(const char* op, const array& a, const array& b, const std::optional<array>& lhs,
               const std::optional<array>& rhs, StreamOrDevice s) {
  auto index = [&](const char* name, const array& x, const std::optional<array>& given) {
    if (given) {
      require(issubdtype(given->dtype(), integer), "[{}] {} are {}; they must be integers.", op,
              name, name_of(given->dtype()));
      return *given;
    }
    Shape batch(x.shape().begin(), x.shape().end() - 2);
    int64_t n = 1;
    for (auto d : batch) n *= d;
    return reshape(arange(0.0, double(n), uint32, s), batch, s);
  };
  array left = index("lhs_indices", a, lhs), right = index("rhs_indices", b, rhs);
  Shape shape = broadcast_shapes(left.shape(), right.shape());
  return {flatten(broadcast_to(left, shape, s), s), flatten(broadcast_to(right, shape, s), s),
          shape};
}
// x (..., R, C) as (n, R, C).
array matrices(const array& x, StreamOrDevice s) {
  int64_t n = 1;
  for (size_t i = 0; i + 2 < x.ndim(); ++i) n *= x.shape()[i];
  return reshape(x, {n, x.shape(-2), x.shape(-1)}, s);
}
array unfolded(const array& out, const Pairs& pairs, StreamOrDevice s) {
  Shape shape = pairs.shape;
  shape.push_back(out.shape(1));
  shape.push_back(out.shape(2));
  return reshape(out, shape, s);
}

}  // namespace

array gather_mm(array a, array b, std::optional<array> lhs_indices,
                std::optional<array> rhs_indices, bool, StreamOrDevice s) {
  if (!lhs_indices && !rhs_indices) return matmul(a, b, s);
  require<ShapeError>(a.ndim() > 0 && b.ndim() > 0,
                      "[gather_mm] a has shape {} and b {}: a 0-d array has no matrix.",
                      text_of(a.shape()), text_of(b.shape()));
  Dtype t = result_type(a, b);
  require(issubdtype(t, floating), "[gather_mm] a is {} and b {}: only floats are multiplied.",
          name_of(a.dtype()), name_of(b.dtype()));
  array x = astype(a, t, s), y = astype(b, t, s);
  if (a.ndim() == 1) x = expand_dims(x, 0, s);
  if (b.ndim() == 1) y = expand_dims(y, 1, s);
  require<ShapeError>(x.shape(-1) == y.shape(-2),
                      "[gather_mm] a has shape {} and b {}: inner sizes {} and {} differ.",
                      text_of(a.shape()), text_of(b.shape()), x.shape(-1), y.shape(-2));
  Pairs pairs = pairs_of("gather_mm", x, y, lhs_indices, rhs_indices, s);
  array out =
      record(op_of<GatherMatmul>, {}, {matrices(x, s), matrices(y, s), pairs.lhs, pairs.rhs}, s);
  out = unfolded(out, pairs, s);
  if (b.ndim() == 1) out = squeeze(out, -1, s);
  if (a.ndim() == 1) out = squeeze(out, b.ndim() == 1 ? -1 : -2, s);
  return out;
}

array gather_qmm(const array& x, const array& w, const array& scales,
                 const std::optional<array>& biases, std::optional<array> lhs_indices,
                 std::optional<array> rhs_indices, bool transpose, std::optional<int> group_size,
                 std::optional<int> bits, const std::string& mode, bool, StreamOrDevice s) {
  if (!lhs_indices && !rhs_indices)
    return quantized_matmul(x, w, scales, biases, transpose, group_size, bits, mode, s);
  Format f = checked_format("gather_qmm", group_size, bits, mode);
  check_weights("gather_qmm", w, scales, biases, f);
  Dtype t = biases ? result_type(x, scales, *biases) : x.dtype();
  require(issubdtype(t, floating), "[gather_qmm] x is {}; it must be a float.", name_of(x.dtype()));
  int64_t inner = transpose ? w.shape(-1) * 32 / f.bits : w.shape(-2);
  require<ShapeError>(x.ndim() >= 2 && x.shape(-1) == inner,
                      "[gather_qmm] x has shape {} and w holds {} columns: x needs 2 axes, the "
                      "last of that size.",
                      text_of(x.shape()), inner);
  Pairs pairs = pairs_of("gather_qmm", x, w, lhs_indices, rhs_indices, s);
  Arrays in{astype(matrices(x, s), t == float64 ? float64 : float32, s)};
  for (const auto& part : weights(w, scales, biases)) in.push_back(matrices(part, s));
  in.push_back(pairs.lhs);
  in.push_back(pairs.rhs);
  array out = record(op_of<GatherQuantizedMatmul>,
                     GatherQuantizedMatmul::P{f.group, f.bits, transpose, f.coding}, in, s);
  return astype(unfolded(out, pairs, s), t, s);
}

}  // namespace tarn
