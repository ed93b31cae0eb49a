#include "ops/valid.h"

#include <algorithm>
#include <unordered_map>

#include "ops/back.h"
#include "ops/compound.h"
#include "ops/movement.h"
#include "ops/ragged.h"
#include "ops/reductions.h"
#include "ops/valid_words.h"

namespace tarn::ops {
namespace {

// Whether a box of `size` elements in steps lies inside `of`.
bool is_box(const Shape& of, const Shape& start, const Shape& size, const Shape& step) {
  if (start.size() != of.size() || size.size() != of.size() || step.size() != of.size())
    return false;
  for (size_t i = 0; i < of.size(); ++i) {
    if (size[i] < 0 || !is_step(step[i]) || start[i] < 0 || start[i] > of[i]) return false;
    Wide last = Wide{start[i]} + Wide{size[i] - 1} * step[i];
    if (size[i] > 0 && (start[i] == of[i] || last < 0 || last >= of[i])) return false;
  }
  return true;
}

// --- one function an op: is this a call the public functions could have recorded?

template <class T>
requires std::same_as<typename T::Kind, Elementwise>
bool valid(type<T>, const Params&, In in) {
  if (in.size() != T::arity) return false;
  if constexpr (T::arity == 3) return in[0].dtype() == bool_ && in[1].dtype() == in[2].dtype();
  return in_domain(T::spec, in[0].dtype()) && same_dtypes(in);
}

template <class T>
requires std::same_as<typename T::P, ReduceParams>
bool valid(type<T>, const Params& p, In in) {
  const Axes& axes = p.as<ReduceParams>().axes;
  if (in.size() != 1 || !in_domain(T::spec, in[0].dtype())) return false;
  if (!distinct(axes, in[0]) || !std::ranges::is_sorted(axes)) return false;
  if constexpr (std::same_as<T, Prod>) return axes.size() == 1;
  if constexpr (std::same_as<T, Max> || std::same_as<T, Min>)
    return std::ranges::all_of(axes, [&](int a) { return size_at(in[0], a) > 0; });
  return true;
}
template <class T>
requires std::same_as<typename T::P, ArgParams>
bool valid(type<T>, const Params& p, In in) {
  int axis = p.as<ArgParams>().axis;
  return in.size() == 1 && in_domain(T::spec, in[0].dtype()) && is_axis(axis, in[0]) &&
         size_at(in[0], axis) > 0;
}
template <class T>
requires std::same_as<typename T::P, ScanParams>
bool valid(type<T>, const Params& p, In in) {
  return in.size() == 1 && in_domain(T::spec, in[0].dtype()) &&
         is_axis(p.as<ScanParams>().axis, in[0]);
}

bool valid(type<Alias>, const Params&, In in) { return in.size() == 1; }
bool valid(type<Reshape>, const Params& p, In in) {
  const Shape& shape = p.as<Reshape::P>().shape;
  return in.size() == 1 && is_shape(shape) && count(shape) == static_cast<int64_t>(in[0].size());
}
bool valid(type<Transpose>, const Params& p, In in) {
  const Axes& axes = p.as<Transpose::P>().axes;
  return in.size() == 1 && axes.size() == in[0].ndim() && distinct(axes, in[0]);
}
bool valid(type<BroadcastTo>, const Params& p, In in) {
  const Shape& shape = p.as<BroadcastTo::P>().shape;
  return in.size() == 1 && is_shape(shape) && broadcasts_to(in[0].shape(), shape);
}
bool valid(type<Slice>, const Params& params, In in) {
  const auto& p = params.as<Slice::P>();
  return in.size() == 1 && is_box(in[0].shape(), p.start, p.size, p.step);
}
bool valid(type<SliceUpdate>, const Params& params, In in) {
  const auto& p = params.as<SliceUpdate::P>();
  return in.size() == 2 && same_dtypes(in) && is_mode(p.mode) &&
         is_box(in[0].shape(), p.start, in[1].shape(), p.step);
}
bool valid(type<AsStrided>, const Params& params, In in) {
  const auto& p = params.as<AsStrided::P>();
  if (in.size() != 1 || !is_shape(p.shape) || p.strides.size() != p.shape.size()) return false;
  Wide low = p.offset, high = p.offset;
  for (size_t i = 0; i < p.shape.size(); ++i)
    if (p.strides[i] != 0 && !is_step(p.strides[i])) return false;
  for (size_t i = 0; i < p.shape.size(); ++i)
    (p.strides[i] < 0 ? low : high) += Wide{std::max<int64_t>(p.shape[i] - 1, 0)} * p.strides[i];
  bool none = count(p.shape) == 0;
  return low >= 0 && high < Wide{static_cast<int64_t>(in[0].size())} + none;
}
bool valid(type<ViewAs>, const Params& p, In in) {
  if (in.size() != 1) return false;
  int64_t from = in[0].dtype().size, to = p.as<ViewAs::P>().dtype.size;
  if (in[0].ndim() == 0) return from == to;
  return in[0].shape(-1) * from % to == 0;
}
bool valid(type<Concatenate>, const Params& p, In in) {
  int axis = p.as<Concatenate::P>().axis;
  constexpr size_t most = 1 << 16;
  return !in.empty() && in.size() <= most && is_axis(axis, in[0]) && same_dtypes(in) &&
         std::ranges::all_of(
             in, [&](const array& x) { return equal_beside(x.shape(), in[0].shape(), axis); });
}
// The index arrays from `first` on.
bool are_indices(const Axes& axes, In in, size_t first) {
  if (in.size() != first + axes.size() || !distinct(axes, in[0])) return false;
  return std::ranges::all_of(in.subspan(first), [&](const array& x) {
    return is_index(x) && x.shape() == in[first].shape();
  });
}
bool within(const Shape& box, const Shape& of) {
  return std::ranges::equal(box, of, [](int64_t n, int64_t most) { return n >= 0 && n <= most; });
}
bool valid(type<Gather>, const Params& params, In in) {
  const auto& p = params.as<Gather::P>();
  return !in.empty() && are_indices(p.axes, in, 1) && within(p.slice_sizes, in[0].shape());
}
bool valid(type<Scatter>, const Params& params, In in) {
  const auto& p = params.as<Scatter::P>();
  if (in.size() < 2 || !is_mode(p.mode) || !are_indices(p.axes, in, 2)) return false;
  Shape index = in.size() > 2 ? in[2].shape() : Shape{};
  const Shape& updates = in[1].shape();
  if (updates.size() != index.size() + in[0].ndim()) return false;
  auto middle = updates.begin() + index.size();
  return std::equal(index.begin(), index.end(), updates.begin()) &&
         within(Shape(middle, updates.end()), in[0].shape()) && in[1].dtype() == in[0].dtype();
}
bool valid(type<GatherAxis>, const Params& p, In in) {
  int axis = p.as<GatherAxis::P>().axis;
  return in.size() == 2 && is_axis(axis, in[0]) && is_index(in[1]) &&
         equal_beside(in[1].shape(), in[0].shape(), axis);
}
bool valid(type<ScatterAxis>, const Params& params, In in) {
  const auto& p = params.as<ScatterAxis::P>();
  return in.size() == 3 && is_mode(p.mode) && is_axis(p.axis, in[0]) && is_index(in[2]) &&
         in[1].dtype() == in[0].dtype() && in[1].shape() == in[2].shape() &&
         equal_beside(in[2].shape(), in[0].shape(), p.axis);
}
bool is_order(const Params& params, In in) {
  const auto& p = params.as<SortParams>();
  return in.size() == 1 && is_axis(p.axis, in[0]) && p.kth >= -1 &&
         p.kth < in[0].shape(p.axis);
}
bool valid(type<ArgSort>, const Params& p, In in) { return is_order(p, in); }

bool has_last_axis(const array& x) { return x.ndim() > 0 && issubdtype(x.dtype(), floating); }
bool is_row_of(const array& row, const array& x) {
  return row.ndim() == 1 && row.shape(0) == x.shape(-1) && issubdtype(row.dtype(), floating);
}
bool valid(type<Softmax>, const Params&, In in) {
  return in.size() == 1 && has_last_axis(in[0]) && in[0].shape(-1) > 0;
}
bool valid(type<LogSumExp>, const Params&, In in) {
  return in.size() == 1 && has_last_axis(in[0]) && in[0].shape(-1) > 0;
}
bool are_logits(const array& x, const array& targets) {
  return has_last_axis(x) && x.shape(-1) > 0 && issubdtype(targets.dtype(), integer) &&
         targets.shape() == Shape(x.shape().begin(), x.shape().end() - 1);
}
bool valid(type<CrossEntropy>, const Params&, In in) {
  return in.size() == 2 && are_logits(in[0], in[1]);
}
bool valid(type<CrossEntropyBack>, const Params&, In in) {
  return in.size() == 3 && are_logits(in[0], in[1]) && in[2].shape() == in[1].shape() &&
         issubdtype(in[2].dtype(), floating);
}
bool valid(type<Sort>, const Params& p, In in) { return is_order(p, in); }
bool valid(type<RmsNorm>, const Params&, In in) {
  if (in.empty() || in.size() > 2 || !has_last_axis(in[0])) return false;
  return in.size() == 1 || is_row_of(in[1], in[0]);
}
bool valid(type<RmsNormBack>, const Params&, In in) {
  if (in.size() < 2 || in.size() > 3 || !has_last_axis(in[0])) return false;
  return in[1].shape() == in[0].shape() && issubdtype(in[1].dtype(), floating) &&
         (in.size() == 2 || is_row_of(in[2], in[0]));
}
bool valid(type<LayerNorm>, const Params& params, In in) {
  const auto& p = params.as<LayerNorm::P>();
  if (in.size() != size_t{1} + p.has_weight + p.has_bias || !has_last_axis(in[0])) return false;
  return std::ranges::all_of(in.subspan(1), [&](const array& x) { return is_row_of(x, in[0]); });
}
// Whether `dims` numbers of x's last axis are pairs, and `freqs` none or one array of one for each.
bool are_pairs(int dims, In freqs, const array& x) {
  if (dims <= 0 || dims % 2 != 0 || dims > x.shape(-1)) return false;
  return freqs.empty() || (freqs[0].ndim() == 1 && freqs[0].shape(0) == dims / 2 &&
                           issubdtype(freqs[0].dtype(), floating));
}
bool valid(type<Rope>, const Params& params, In in) {
  const auto& p = params.as<Rope::P>();
  constexpr int64_t furthest = int64_t{1} << 52;  // positions are computed as float64
  if (in.empty() || in.size() > 2 || in[0].ndim() < 2 || !has_last_axis(in[0])) return false;
  if (p.offset < -furthest || p.offset > furthest) return false;
  return are_pairs(p.dims, in.subspan(1), in[0]);
}
bool valid(type<RopeRows>, const Params& params, In in) {
  const auto& p = params.as<RopeRows::P>();
  if (in.size() < 2 || in.size() > 3 || in[0].ndim() < 3 || !has_last_axis(in[0])) return false;
  return are_pairs(p.dims, in.subspan(2), in[0]) && in[1].dtype() == int64 && in[1].ndim() == 1 &&
         in[1].shape(0) == in[0].shape(0);
}
bool valid(type<AppendRow>, const Params& params, In in) {
  return in.size() == 2 && is_row_of(params.as<AppendRow::P>(), in[0], in[1]);
}
bool valid(type<RaggedAttention>, const Params& params, In in) {
  const Shape& lengths = params.as<RaggedAttention::P>().lengths;
  if (lengths.empty() || in.size() != 1 + 2 * lengths.size()) return false;
  if (in[0].ndim() != 4 || in[0].shape(0) != static_cast<int64_t>(lengths.size())) return false;
  for (size_t row = 0; row < lengths.size(); ++row)
    if (!are_keys_of(in[0], in[1 + 2 * row], in[2 + 2 * row], lengths[row])) return false;
  return true;
}
bool valid(type<Attention>, const Params& params, In in) {
  const auto& p = params.as<Attention::P>();
  if (in.size() != size_t{3} + p.has_mask + p.has_sinks || p.precision > Precision::balanced)
    return false;
  const array &q = in[0], &k = in[1], &v = in[2];
  for (const array* x : {&q, &k, &v})
    if (x->ndim() != 4 || !issubdtype(x->dtype(), floating)) return false;
  bool fits = k.shape(0) == q.shape(0) && v.shape(0) == q.shape(0) && k.shape(3) == q.shape(3) &&
              v.shape(1) == k.shape(1) && v.shape(2) == k.shape(2) && k.shape(1) > 0 &&
              q.shape(1) % k.shape(1) == 0 && p.length >= 0 && p.length <= k.shape(2);
  if (!fits) return false;
  if (p.has_mask &&
      (!broadcasts_to(in[3].shape(), {q.shape(0), q.shape(1), q.shape(2), k.shape(2)}) ||
       (in[3].dtype() != bool_ && !issubdtype(in[3].dtype(), floating))))
    return false;
  const array& sinks = in.back();
  return !p.has_sinks ||
         (sinks.ndim() == 1 && sinks.shape(0) == q.shape(1) && issubdtype(sinks.dtype(), floating));
}
bool valid(type<AttentionBack>, const Params& params, In in) {
  if (in.size() != 4 || !same_dtypes(in)) return false;
  if (params.as<AttentionBack::P>().precision > Precision::balanced) return false;
  for (const array& x : in)
    if (x.ndim() != 4 || !issubdtype(x.dtype(), floating)) return false;
  const array &q = in[0], &k = in[1], &v = in[2];
  Shape out = q.shape();
  out[3] = v.shape(3);
  return k.shape(0) == q.shape(0) && v.shape(0) == q.shape(0) && k.shape(3) == q.shape(3) &&
         v.shape(1) == k.shape(1) && v.shape(2) == k.shape(2) && k.shape(1) > 0 &&
         q.shape(1) % k.shape(1) == 0 && q.shape(2) <= k.shape(2) && in[3].shape() == out;
}
bool valid(type<GatedDelta>, const Params&, In in) {
  if (in.size() != 6 || !same_dtypes(in) || !issubdtype(in[0].dtype(), floating)) return false;
  const array &q = in[0], &v = in[2];
  if (q.ndim() != 4 || v.ndim() != 4 || q.shape() != in[1].shape()) return false;
  Shape heads(v.shape().begin(), v.shape().end() - 1), columns = heads;
  columns.push_back(q.shape(3));
  return v.shape(0) == q.shape(0) && v.shape(1) == q.shape(1) && q.shape(2) > 0 &&
         v.shape(2) % q.shape(2) == 0 && in[4].shape() == heads &&
         (in[3].shape() == heads || in[3].shape() == columns) &&
         in[5].shape() == Shape{v.shape(0), v.shape(2), v.shape(3), q.shape(3)};
}
bool valid(type<SearchSorted>, const Params&, In in) {
  return in.size() == 2 && same_dtypes(in) && in[0].ndim() == 2 && in[1].ndim() == 2 &&
         in[0].shape(0) == in[1].shape(0);
}
bool valid(type<Depends>, const Params&, In in) { return !in.empty(); }
bool valid(type<LinearRecurrence>, const Params& params, In in) {
  return in.size() == 2 && same_dtypes(in) && in_domain(LinearRecurrence::spec, in[0].dtype()) &&
         in[0].shape() == in[1].shape() && is_axis(params.as<LinearRecurrence::P>().axis, in[0]);
}
bool valid(type<Arange>, const Params& params, In in) {
  const auto& p = params.as<Arange::P>();
  constexpr double most = 0x1p62;
  auto fits = [](double v) { return v > -most && v < most; };
  return in.empty() && p.count >= 0 && p.dtype != bool_ && p.dtype != complex64 && fits(p.start) &&
         fits(p.step) && fits(p.start + p.step * static_cast<double>(p.count));
}
bool valid(type<ElementCount>, const Params& params, In in) {
  return in.empty() && is_shape(params.as<ElementCount::P>().sizes);
}
bool valid(type<RandomBits>, const Params& params, In in) {
  const auto& p = params.as<RandomBits::P>();
  return in.size() == 1 && in[0].dtype() == uint32 && in[0].ndim() > 0 && in[0].shape(-1) == 2 &&
         is_shape(p.shape) && (p.width == 1 || p.width == 2 || p.width == 4);
}

// ---

template <class T>
concept Checked = requires(const Params& p, In in) {
  { valid(type<T>{}, p, in) } -> std::same_as<bool>;
};

const std::unordered_map<const Op*, Check>& checks() {
  static const auto table = [] {
    std::unordered_map<const Op*, Check> t;
    auto add = [&]<class T>(type<T>) {
      if constexpr (Checked<T>)
        t[&op_of<T>] = [](const Params& p, In in) { return valid(type<T>{}, p, in); };
    };
    UnaryOps::each(add);
    BinaryOps::each(add);
    TernaryOps::each(add);
    ReduceOps::each(add);
    ArgReduceOps::each(add);
    ScanOps::each(add);
    MovementOps::each(add);
    add_product_checks(t);
    add_decomposition_checks(t);
    FusedOps::each(add);
    RaggedOps::each(add);
    BackOps::each(add);
    SourceOps::each(add);
    t[&as_type_op] = t[&copy_op] = [](const Params&, In in) { return in.size() == 1; };
    return t;
  }();
  return table;
}

}  // namespace

bool has_check(const Op& op) { return checks().count(&op) > 0; }

void check_call(const Op& op, const Params& params, std::span<const array> in) {
  require(checks().at(&op)(params, in),
          "{} cannot take {} inputs with these shapes, dtypes and "
          "parameters ({}).",
          op.name, in.size(), params.print());
}

}  // namespace tarn::ops
