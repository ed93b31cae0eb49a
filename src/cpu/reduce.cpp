// Reductions over any axes of any layout, and the index of an extreme.
//
// Three forms: rows (the folded axes are the inner, contiguous run), columns (the inner run is
// kept, so whole rows are folded into a line of accumulators) and general (one output at a time).
// A few long rows are cut into fixed pieces whose results are folded in order, so that workers can
// share them and the result does not depend on how many there are.
#include "cpu/reduce.h"

#include <limits>

#include "cpu/heavy.h"
#include "cpu/number.h"
#include "cpu/share.h"
#include "ops/reductions.h"

namespace tarn::cpu {
namespace {

constexpr int64_t piece = 1 << 16;    // elements of a long row that one worker folds at a time
constexpr int64_t column_line = 128;  // accumulators of the column form
constexpr int64_t few_rows = 16;

// --- folds: an accumulator, its start, how elements join it

template <class T>
struct SumOf {
  using Acc = Accumulator<T>;
  static Acc start() { return Acc(0); }
  static Acc join(Acc a, T x) { return plus(a, widen(x)); }
  static Acc merge(Acc a, Acc b) { return plus(a, b); }
};
template <class T>
struct ProdOf {
  using Acc = Accumulator<T>;
  static Acc start() { return Acc(1); }
  static Acc join(Acc a, T x) { return times(a, widen(x)); }
  static Acc merge(Acc a, Acc b) { return times(a, b); }
};
template <class T, bool largest>
struct ExtremeOf {
  using Acc = T;
  static Acc start() {
    if constexpr (is_complex<T>) {
      float inf = std::numeric_limits<float>::infinity();
      return largest ? T(-inf, -inf) : T(inf, inf);
    } else if constexpr (std::is_integral_v<T>) {
      return largest ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max();
    } else {
      float inf = std::numeric_limits<float>::infinity();
      return T(largest ? -inf : inf);
    }
  }
  static Acc join(Acc a, T x) {
    if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
      bool take = largest ? x > a : x < a;
      return (take | (x != x)) ? x : a;  // a NaN stays: nothing compares above it
    } else {
      if (is_nan(a)) return a;
      if (is_nan(x)) return x;
      return (largest ? before(a, x) : before(x, a)) ? x : a;
    }
  }
  static Acc merge(Acc a, Acc b) { return is_nan(a) ? a : join(a, b); }
};
template <class T>
using MaxOf = ExtremeOf<T, true>;
template <class T>
using MinOf = ExtremeOf<T, false>;
template <class T>
struct AllOf {
  using Acc = bool;
  static Acc start() { return true; }
  static Acc join(Acc a, T x) { return a & (x != T(0)); }
  static Acc merge(Acc a, Acc b) { return a & b; }
};
template <class T>
struct AnyOf {
  using Acc = bool;
  static Acc start() { return false; }
  static Acc join(Acc a, T x) { return a | (x != T(0)); }
  static Acc merge(Acc a, Acc b) { return a | b; }
};

// --- the shape of a reduction

struct Folding {
  Collapsed kept{}, folded{};
  int64_t outputs = 1, each = 1;
  bool rows = false;     // the folded axes are one contiguous run
  bool columns = false;  // the last kept axis is contiguous
};

Folding folding_of(const Step& s, const Axes& axes) {
  const Operand& in = s.in[0];
  Shape kept, folded;
  Strides kept_strides, folded_strides;
  for (size_t i = 0; i < in.shape.size(); ++i) {
    bool fold = std::find(axes.begin(), axes.end(), static_cast<int>(i)) != axes.end();
    (fold ? folded : kept).push_back(in.shape[i]);
    (fold ? folded_strides : kept_strides).push_back(in.strides[i]);
  }
  Folding f{collapse(kept, kept_strides), collapse(folded, folded_strides)};
  for (auto d : kept) f.outputs *= d;
  for (auto d : folded) f.each *= d;
  f.rows = f.folded.shape.empty() || (f.folded.shape.size() == 1 && f.folded.strides[0] == 1);
  f.columns = !f.rows && !f.kept.shape.empty() && f.kept.strides.back() == 1;
  return f;
}

// Every output lies where its index says: reductions keep their axes, with size 1.
template <class T, template <class> class FoldOf>
typename FoldOf<T>::Acc fold_run(const T* x, int64_t n) {
  using F = FoldOf<T>;
  typename F::Acc lanes[8];
  for (auto& l : lanes) l = F::start();
  int64_t i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; ++k) lanes[k] = F::join(lanes[k], x[i + k]);
  for (; i < n; ++i) lanes[0] = F::join(lanes[0], x[i]);
  for (int k = 1; k < 8; ++k) lanes[0] = F::merge(lanes[0], lanes[k]);
  return lanes[0];
}

template <class T, template <class> class FoldOf>
typename FoldOf<T>::Acc fold_strided(const T* x, const Folding& f) {
  using F = FoldOf<T>;
  auto acc = F::start();
  Odometer o(f.folded.shape, f.folded.strides);
  o.seek(0);
  for (int64_t done = 0; done < f.each;) {
    int64_t n = o.run(), step = o.run_stride();
    const T* at = x + o.offset();
    for (int64_t i = 0; i < n; ++i) acc = F::join(acc, at[i * step]);
    o.skip(n);
    done += n;
  }
  return acc;
}

template <class T, class Out, template <class> class FoldOf>
void fold_columns(const T* x, Out* y, const Folding& f, int worker, int workers) {
  using F = FoldOf<T>;
  int64_t width = f.kept.shape.back(), blocks = (width + column_line - 1) / column_line;
  Odometer outer(f.kept.shape, f.kept.strides);
  Share part = share(f.outputs / width * blocks, worker, workers);
  for (int64_t b = part.from; b < part.to; ++b) {
    int64_t first = b / blocks * width + b % blocks * column_line;
    int64_t n = std::min(column_line, width - b % blocks * column_line);
    typename F::Acc acc[column_line];
    for (int64_t i = 0; i < n; ++i) acc[i] = F::start();
    outer.seek(first);
    const T* base = x + outer.offset();
    Odometer inner(f.folded.shape, f.folded.strides);
    inner.seek(0);
    for (int64_t r = 0; r < f.each; ++r, inner.next()) {
      const T* row = base + inner.offset();
      for (int64_t i = 0; i < n; ++i) acc[i] = F::join(acc[i], row[i]);
    }
    for (int64_t i = 0; i < n; ++i) y[first + i] = narrow<Out>(acc[i]);
  }
}

bool in_pieces(const Folding& f) { return f.rows && f.outputs < few_rows && f.each > 2 * piece; }
int64_t pieces_of(const Folding& f) { return (f.each + piece - 1) / piece; }

template <class T, template <class> class FoldOf>
void fold_pieces(const Step& s, const Folding& f, int worker, int workers) {
  using Acc = typename FoldOf<T>::Acc;
  auto* partial = s.out.as<Acc>();
  Odometer o(f.kept.shape, f.kept.strides);
  int64_t n = pieces_of(f);
  Share part = share(f.outputs * n, worker, workers);
  for (int64_t i = part.from; i < part.to; ++i) {
    o.seek(i / n);
    int64_t at = i % n * piece;
    partial[i] =
        fold_run<T, FoldOf>(s.in[0].as<T>() + o.offset() + at, std::min(piece, f.each - at));
  }
}

template <class T, class Out, template <class> class FoldOf>
void join_pieces(const Step& s, const Folding& f, int worker, int workers) {
  using F = FoldOf<T>;
  const auto* partial = s.in.back().as<const typename F::Acc>();
  int64_t n = pieces_of(f);
  for (int64_t i = worker; i < f.outputs; i += workers) {
    auto acc = F::start();
    for (int64_t p = 0; p < n; ++p) acc = F::merge(acc, partial[i * n + p]);
    s.out.as<Out>()[i] = narrow<Out>(acc);
  }
}

template <class T, class Out, template <class> class FoldOf>
void fold(const Step& s, const Folding& f, int worker, int workers) {
  auto* y = s.out.as<Out>();
  const auto* x = s.in[0].as<const T>();
  if (f.columns) return fold_columns<T, Out, FoldOf>(x, y, f, worker, workers);
  Odometer o(f.kept.shape, f.kept.strides);
  Share part = share(f.outputs, worker, workers);
  if (part.from >= part.to) return;
  o.seek(part.from);
  for (int64_t i = part.from; i < part.to; ++i, o.next()) {
    auto acc = f.rows ? fold_run<T, FoldOf>(x + o.offset(), f.each)
                      : fold_strided<T, FoldOf>(x + o.offset(), f);
    y[i] = narrow<Out>(acc);
  }
}

Folding reduction_of(const Step& s) {
  return folding_of(s, s.params->as<ops::ReduceParams>().axes);
}
bool takes_pieces(const Step& s) { return in_pieces(reduction_of(s)); }
size_t piece_bytes(const Step& s) {
  constexpr int64_t most = 16;  // of one accumulator
  Folding f = reduction_of(s);
  return static_cast<size_t>(f.outputs * pieces_of(f) * most);
}
uint64_t same_pieces(const Step& s) {
  Hash h;
  h.add(reinterpret_cast<uintptr_t>(s.op));
  s.params->hash(h);
  return h.a;
}

// Sums and products of small integers widen; everything else keeps its type.
template <class T>
using Widened = std::conditional_t<
    std::is_same_v<T, bool>, int32_t,
    std::conditional_t<(std::is_integral_v<T> && sizeof(T) < 4),
                       std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>, T>>;

// The element types of a fold's input and output: visit calls f(T{}, Out{}).
template <bool widens>
struct Numbers {
  template <class F>
  static void visit(const Step& s, F&& f) {
    visit_dtype(s.in[0].dtype, [&](auto t) {
      using T = decltype(t);
      f(T{}, std::conditional_t<widens, Widened<T>, T>{});
    });
  }
};
struct Bytes {  // all and any
  template <class F>
  static void visit(const Step&, F&& f) {
    f(uint8_t{}, uint8_t{});
  }
};
template <template <class> class FoldOf, class Types>
void run_fold(const Step& s, int worker, int workers) {
  Types::visit(s, [&](auto t, auto out) {
    fold<decltype(t), decltype(out), FoldOf>(s, reduction_of(s), worker, workers);
  });
}
template <template <class> class FoldOf, class Types>
void run_pieces(const Step& s, int worker, int workers) {
  Types::visit(s, [&](auto t, auto) {
    fold_pieces<decltype(t), FoldOf>(s, reduction_of(s), worker, workers);
  });
}
template <template <class> class FoldOf, class Types>
void run_join(const Step& s, int worker, int workers) {
  Types::visit(s, [&](auto t, auto out) {
    join_pieces<decltype(t), decltype(out), FoldOf>(s, reduction_of(s), worker, workers);
  });
}

double fold_cost(const Step& s) { return 0.3 * static_cast<double>(s.in[0].size()); }

// --- the index of an extreme

template <class T, bool largest>
void arg_rows(const Step& s, int worker, int workers) {
  auto axis = static_cast<size_t>(s.params->as<ops::ArgParams>().axis);
  const Operand& in = s.in[0];
  Shape kept = in.shape;
  kept[axis] = 1;
  int64_t n = in.shape[axis], step = in.strides[axis];
  Odometer o(kept, in.strides);
  Share part = share(s.out.size(), worker, workers);
  if (part.from >= part.to) return;
  o.seek(part.from);
  for (int64_t i = part.from; i < part.to; ++i, o.next()) {
    const T* x = in.as<const T>() + o.offset();
    int64_t best = 0;
    for (int64_t k = 1; k < n && !is_nan(x[best * step]); ++k) {
      T a = x[best * step], b = x[k * step];
      if (is_nan(b) || (largest ? before(a, b) : before(b, a))) best = k;
    }
    s.out.as<uint32_t>()[i] = static_cast<uint32_t>(best);
  }
}
template <bool largest>
void run_arg(const Step& s, int worker, int workers) {
  visit_dtype(s.in[0].dtype, [&](auto t) {
    using T = decltype(t);
    arg_rows<T, largest>(s, worker, workers);
  });
}

// --- contiguous rows of floats go to the kernels of the instruction set

bool float_rows(const Step& s) {
  Dtype t = s.in[0].dtype;
  if (t != float32 && t != float16 && t != bfloat16) return false;
  Folding f = reduction_of(s);
  return f.rows && f.each > 1 && f.kept.shape.size() <= 1 && !in_pieces(f);
}
// Short rows are added in double by the general fold: as fast there, and the same at every level.
constexpr int64_t long_row = 1024;
bool long_float_rows(const Step& s) { return float_rows(s) && reduction_of(s).each >= long_row; }
template <RowFold fold>
void run_float_rows(const Step& s, int worker, int workers) {
  Folding f = reduction_of(s);
  FoldRows rows;
  rows.x = s.in[0].data;
  rows.x_stride = f.kept.shape.empty() ? f.each : f.kept.strides[0];
  rows.rows = f.outputs;
  rows.cols = f.each;
  rows.type = store_of(s.in[0].dtype);
  rows.fold = fold;
  rows.y = s.out.data;
  heavy().fold_rows(rows, worker, workers);
}

template <template <class> class FoldOf, class Types>
constexpr Packing pieces_of_fold{
    {.run = run_pieces<FoldOf, Types>, .cost = fold_cost, .name = "pieces"},
    piece_bytes,
    same_pieces};
// A fold has two rows in the table: a few long rows in pieces, and everything else.
template <template <class> class FoldOf, class Types>
void add_fold(KernelTable& t, const Op& op) {
  Kernel join{.run = run_join<FoldOf, Types>, .fits = takes_pieces, .accepts = Accepts::any};
  join.packing = &pieces_of_fold<FoldOf, Types>;
  join.name = "fold of pieces";
  t.add(op, join);
  Kernel whole{.run = run_fold<FoldOf, Types>, .accepts = Accepts::any};
  whole.cost = fold_cost;
  whole.name = "fold";
  t.add(op, whole);
}
template <RowFold fold>
Kernel row_kernel() {
  Kernel k{.run = run_float_rows<fold>, .fits = float_rows, .accepts = Accepts::any};
  k.cost = fold_cost;
  k.name = "rows of floats";
  return k;
}
}  // namespace

Store store_of(Dtype t) {
  return t == float16 ? Store::f16 : t == bfloat16 ? Store::bf16 : Store::f32;
}

void add_reductions(KernelTable& t) {
  using namespace ops;
  Kernel sum_rows = row_kernel<RowFold::sum>();
  sum_rows.fits = long_float_rows;
  t.add(op_of<Sum>, sum_rows);
  t.add(op_of<Max>, row_kernel<RowFold::max>());
  t.add(op_of<Min>, row_kernel<RowFold::min>());
  add_fold<SumOf, Numbers<true>>(t, op_of<Sum>);
  add_fold<ProdOf, Numbers<true>>(t, op_of<Prod>);
  add_fold<MaxOf, Numbers<false>>(t, op_of<Max>);
  add_fold<MinOf, Numbers<false>>(t, op_of<Min>);
  add_fold<AllOf, Bytes>(t, op_of<All>);
  add_fold<AnyOf, Bytes>(t, op_of<Any>);
  t.add(op_of<ArgMax>,
        {.run = run_arg<true>, .accepts = Accepts::any, .cost = fold_cost, .name = "arg"});
  t.add(op_of<ArgMin>,
        {.run = run_arg<false>, .accepts = Accepts::any, .cost = fold_cost, .name = "arg"});
}

}  // namespace tarn::cpu
