// Reductions: steps turned into calls of reduce.cu.
#include "cuda/reduce.h"

#include <algorithm>

#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/table.h"
#include "ops/reductions.h"

namespace tarn::cuda {
namespace {

bool takes_real(const Step& s) {
  return s.in[0].dtype != complex64 && s.in[0].shape.size() <= most_axes;
}

template <Fold fold>
FoldCall call_of(const Step& s) {
  const Axes& axes = s.params->as<ops::ReduceParams>().axes;
  const Operand& in = s.in[0];
  Shape kept, folded;
  Strides kept_strides, folded_strides;
  FoldCall c;
  for (size_t i = 0; i < in.shape.size(); ++i) {
    bool folds = std::find(axes.begin(), axes.end(), static_cast<int>(i)) != axes.end();
    (folds ? folded : kept).push_back(in.shape[i]);
    (folds ? folded_strides : kept_strides).push_back(in.strides[i]);
    (folds ? c.each : c.outputs) *= in.shape[i];
  }
  c.kept = strided(kept, kept_strides);
  c.folded = strided(folded, folded_strides);
  c.pieces = fold_pieces(c);
  c.from = column(in.dtype), c.to = column(s.out.dtype);
  c.fold = fold;
  c.in = fold_in(in.dtype);
  return c;
}
template <Fold fold>
size_t scratch_of(const Step& s, int) {
  FoldCall c = call_of<fold>(s);
  return c.pieces > 1 ? static_cast<size_t>(c.outputs * c.pieces) * sizeof(double) : 0;
}
template <Fold fold>
void run_fold(const Step& s, int, int) {
  FoldCall c = call_of<fold>(s);
  if (c.outputs == 0) return;
  c.x = s.in[0].data, c.y = s.out.data, c.partial = s.scratch;
  launch_fold(c, queue());
  check(cudaGetLastError(), "a launch");
}

template <bool largest>
ArgCall arg_call(const Step& s) {
  auto axis = static_cast<size_t>(s.params->as<ops::ArgParams>().axis);
  const Operand& in = s.in[0];
  Shape kept = in.shape;
  kept[axis] = 1;
  ArgCall c;
  c.x = in.data, c.y = s.out.as<unsigned>(), c.partial = s.scratch;
  c.kept = strided(kept, in.strides);
  c.outputs = s.out.size(), c.each = in.shape[axis], c.stride = in.strides[axis];
  c.from = column(in.dtype);
  c.largest = largest;
  c.in = fold_in(in.dtype);
  c.pieces = arg_pieces(c);
  return c;
}
size_t arg_scratch(const Step& s, int) {
  ArgCall c = arg_call<true>(s);
  return c.pieces > 1 ? static_cast<size_t>(c.outputs * c.pieces) * 16 : 0;
}
template <bool largest>
void run_arg(const Step& s, int, int) {
  ArgCall c = arg_call<largest>(s);
  if (c.outputs == 0) return;
  launch_arg(c, queue());
  check(cudaGetLastError(), "a launch");
}

template <Fold fold>
Kernel fold_kernel() {
  return {.run = run_fold<fold>,
          .fits = takes_real,
          .accepts = Accepts::any,
          .scratch = scratch_of<fold>,
          .name = "fold"};
}

Kernel arg_kernel(KernelFn run) {
  return {.run = run,
          .fits = takes_real,
          .accepts = Accepts::any,
          .scratch = arg_scratch,
          .name = "arg"};
}

}  // namespace

void add_reductions(KernelTable& t) {
  using namespace ops;
  t.add(op_of<Sum>, fold_kernel<Fold::sum>());
  t.add(op_of<Prod>, fold_kernel<Fold::prod>());
  t.add(op_of<Max>, fold_kernel<Fold::max>());
  t.add(op_of<Min>, fold_kernel<Fold::min>());
  t.add(op_of<All>, fold_kernel<Fold::min>());
  t.add(op_of<Any>, fold_kernel<Fold::max>());
  t.add(op_of<ArgMax>, arg_kernel(run_arg<true>));
  t.add(op_of<ArgMin>, arg_kernel(run_arg<false>));
}

}  // namespace tarn::cuda
