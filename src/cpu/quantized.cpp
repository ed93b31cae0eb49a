// Products with quantised weights: steps turned into calls of the heavy kernels.
#include "cpu/heavy.h"
#include "cpu/move.h"
#include "cpu/pairs.h"
#include "cpu/quantized64.h"
#include "cpu/quantized_steps.h"
#include "cpu/reduce.h"
#include "cpu/share.h"
#include "ops/products.h"

namespace tarn::cpu {
namespace {

// Calls f(matrix of x, matrix of w, matrix of out) for every product of a step with many matrices.
template <class F>
void each_product(const Step& s, F f) {
  auto batch = [](const Operand& o) { return Shape(o.shape.begin(), o.shape.end() - 2); };
  Shape shape = batch(s.out);
  auto steps = [&](const Operand& o) {
    Shape own = batch(o);
    Strides out(shape.size(), 0);
    int64_t step = 1;
    for (size_t i = own.size(); i-- > 0; step *= own[i])
      if (own[i] != 1) out[shape.size() - own.size() + i] = step;
    return out;
  };
  Strides x_steps = steps(s.in[0]), w_steps = steps(s.in[1]);
  Odometer x(shape, x_steps), w(shape, w_steps);
  int64_t count = 1;
  for (auto d : shape) count *= d;
  for (int64_t i = 0; i < count; ++i, x.next(), w.next()) f(x.offset(), w.offset(), i);
}

// One matrix of weights, and what is rounded to meet integer codes.
bool takes_balanced(const Step& s) {
  const auto& p = s.params->as<ops::QuantizedMatmul::P>();
  return takes<ops::QuantizedMatmul>(s) && p.transpose && p.precision == Precision::balanced &&
         p.coding == Coding::affine && s.in[1].shape.size() == 2;
}
bool takes_qmm64(const Step& s) { return s.in[0].dtype == float64 && has_numbers(s); }

void run_exact(const Step& s, int worker, int workers) {
  Qmm q = qmm_of(s);
  q.scratch = s.scratch;
  Weights w = weights_of(s, 1, s.params->as<ops::QuantizedMatmul::P>());
  if (w.count == 1) return heavy().qmm_exact(q, worker, workers);
  each_product(s, [&](int64_t x, int64_t at, int64_t i) {
    Qmm one = q;
    one.x += x * q.m * q.x_stride;
    one.y += i * q.m * q.y_stride;
    one.w = w.at(at);
    heavy().qmm_exact(one, worker, workers);
  });
}
size_t exact_scratch(const Step& s, int workers) {
  return heavy().qmm_exact_scratch(qmm_of(s), workers);
}
void run_qmm64(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::QuantizedMatmul::P>();
  Qmm q = qmm_of(s);
  Weights w = weights_of(s, 1, p);
  Product64 one{.m = q.m, .scales = w.scale_dtype, .transpose = p.transpose};
  auto multiply = [&](int64_t x, int64_t at, int64_t i) {
    one.x = s.in[0].as<const double>() + x * q.m * q.x_stride;
    one.y = s.out.as<double>() + i * q.m * q.y_stride;
    one.w = w.at(at);
    multiply64(one, worker, workers);
  };
  if (w.count == 1) return multiply(0, 0, 0);
  each_product(s, multiply);
}

void pack_rows(const Step& s, int worker, int workers) {
  Qmm q = qmm_of(s);
  PackActivations pack;
  pack.x = q.x, pack.x_stride = q.x_stride, pack.m = q.m, pack.cols = q.w.cols;
  pack.bits = q.w.bits, pack.group = q.w.group;
  pack.packed = s.out.data;
  heavy().pack_activations(pack, worker, workers);
}
size_t packed_bytes(const Step& s) {
  Qmm q = qmm_of(s);
  return heavy().packed_bytes(q.m, q.w.cols, q.w.group);
}
uint64_t packing_key(const Step& s) {
  const auto& p = s.params->as<ops::QuantizedMatmul::P>();
  return static_cast<uint64_t>(p.bits) << 32 | static_cast<uint64_t>(p.group);
}

void run_balanced(const Step& s, int worker, int workers) {
  Qmm q = qmm_of(s);
  q.packed = s.in.back().data;
  q.scratch = s.scratch;
  q.x = nullptr;
  heavy().qmm_balanced(q, worker, workers);
}
size_t balanced_scratch(const Step& s, int workers) {
  Qmm q = qmm_of(s);
  size_t most = 0;
  for (int w = 1; w <= workers; ++w) most = std::max(most, heavy().qmm_balanced_scratch(q, w));
  return most;
}
double qmm64_cost(const Step& s) { return 40 * qmm_cost(s); }

// --- gather_qmm

Qmm pair_of(const Step& s) {
  const auto& p = s.params->as<ops::GatherQuantizedMatmul::P>();
  Qmm q;
  q.w = weights_of(s, 1, p).first;
  q.transpose = p.transpose;
  q.x = s.in[0].as<const float>();
  q.x_stride = s.in[0].shape[2];
  q.m = s.out.shape[1];
  q.y = s.out.as<float>();
  q.y_stride = s.out.shape[2];
  return q;
}
double pair_work(const Qmm& q) {
  return static_cast<double>(q.m) * static_cast<double>(q.w.rows) * static_cast<double>(q.w.cols);
}
size_t pair_scratch(const Step& s) {  // of one worker
  Qmm q = pair_of(s);
  q.m = s.out.shape[0] * s.out.shape[1];
  return heavy().qmm_exact_scratch(q, 1);
}
// Each worker keeps to a region of its own, alone and in runs that several share: others may be at
// another run, of another size, at the same time.
void run_pairs(const Step& s, int worker, int workers) {
  Qmm q = pair_of(s);
  Weights w = weights_of(s, 1, s.params->as<ops::GatherQuantizedMatmul::P>());
  auto* own = static_cast<std::byte*>(s.scratch) +
              static_cast<size_t>(worker) * (s.scratch ? pair_scratch(s) : 0);
  each_run("gather_qmm", s, true, pair_work(q), worker, workers,
           [&](const PairRun& run, int part, int parts) {
             Qmm one = q;
             one.m = q.m * run.count;
             one.x += run.left * q.m * q.x_stride;
             one.y += run.first * q.m * q.y_stride;
             one.w = w.at(run.right);
             one.scratch = own - static_cast<size_t>(part) * heavy().qmm_exact_scratch(one, 1);
             heavy().qmm_exact(one, part, parts);
           });
}
size_t pairs_scratch(const Step& s, int workers) {
  return pair_scratch(s) * static_cast<size_t>(workers);
}
void run_pairs64(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::GatherQuantizedMatmul::P>();
  Qmm q = pair_of(s);
  Weights w = weights_of(s, 1, p);
  Product64 one{.scales = w.scale_dtype, .transpose = p.transpose};
  each_run("gather_qmm", s, true, pair_work(q), worker, workers,
           [&](const PairRun& run, int part, int parts) {
             one.m = q.m * run.count;
             one.x = s.in[0].as<const double>() + run.left * q.m * q.x_stride;
             one.y = s.out.as<double>() + run.first * q.m * q.y_stride;
             one.w = w.at(run.right);
             multiply64(one, part, parts);
           });
}
double pairs_cost(const Step& s) {
  return 100 + 0.03 * pair_work(pair_of(s)) * double(s.out.shape[0]);
}
double pairs64_cost(const Step& s) { return 40 * pairs_cost(s); }

// --- dequantize

void run_dequantize(const Step& s, int worker, int workers) {
  const auto& p = s.params->as<ops::Dequantize::P>();
  Weights w = weights_of(s, 0, p);
  Dequantize d;
  d.w = w.first;
  d.w.rows *= w.count;
  d.out = s.out.data;
  d.out_type = store_of(s.out.dtype);
  d.out_stride = d.w.cols;
  heavy().dequantize(d, worker, workers);
}
bool takes_dequantize(const Step& s) {
  bool affine = s.params->as<ops::Dequantize::P>().coding == Coding::affine;
  return is_store(s.out.dtype) && (!affine || affine_store(s, 1));
}

}  // namespace

const Packing packed_activations{
    {.run = pack_rows, .cost = packing_cost, .name = "rounding of activations"},
    packed_bytes,
    packing_key};

void add_quantized(KernelTable& t) {
  using namespace ops;
  Kernel balanced{.run = run_balanced, .fits = takes_balanced, .scratch = balanced_scratch};
  balanced.packing = &packed_activations;
  balanced.cost = qmm_cost;
  balanced.name = "rounded activations";
  t.add(op_of<QuantizedMatmul>, balanced);
  t.add(op_of<QuantizedMatmul>, {.run = run_exact,
                                 .fits = takes<QuantizedMatmul>,
                                 .scratch = exact_scratch,
                                 .cost = qmm_cost,
                                 .name = "float activations"});
  t.add(op_of<ops::Dequantize>, {.run = run_dequantize, .fits = takes_dequantize, .name = "rows"});
  t.add(op_of<QuantizedMatmul>,
        {.run = run_qmm64, .fits = takes_qmm64, .cost = qmm64_cost, .name = "float64 activations"});
  t.add(op_of<GatherQuantizedMatmul>, {.run = run_pairs,
                                       .fits = takes<GatherQuantizedMatmul>,
                                       .scratch = pairs_scratch,
                                       .cost = pairs_cost,
                                       .name = "float activations"});
  t.add(op_of<GatherQuantizedMatmul>, {.run = run_pairs64,
                                       .fits = takes_qmm64,
                                       .cost = pairs64_cost,
                                       .name = "float64 activations"});
}

}  // namespace tarn::cpu
