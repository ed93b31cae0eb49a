// Derivatives: steps turned into calls of their heavy kernels.
#include "ops/back.h"
#include "cpu/heavy_back.h"
#include "cpu/index.h"
#include "cpu/move.h"
#include "cpu/quantized_steps.h"
#include "cpu/reduce.h"
#include "cpu/share.h"

namespace tarn::cpu {
namespace {

// The derivative's way back in bfloat16, from the number of rows on where the way there is.
constexpr int64_t kManyRows = 16;
bool takes_back(const Step& s) {
  const auto& p = s.params->as<ops::QuantizedMatmul::P>();
  return heavy_back().qmm && takes<ops::QuantizedMatmul>(s) && !p.transpose &&
         p.precision == Precision::balanced && p.coding == Coding::affine &&
         s.in[1].shape.size() == 2 && qmm_of(s).m >= kManyRows;
}
void pack_back_rows(const Step& s, int worker, int workers) {
  Qmm q = qmm_of(s);
  PackActivations pack;
  pack.x = q.x, pack.x_stride = q.x_stride, pack.m = q.m, pack.cols = q.w.rows;
  pack.packed = s.out.data;
  heavy_back().pack(pack, worker, workers);
}
size_t back_packed_bytes(const Step& s) {
  Qmm q = qmm_of(s);
  return heavy_back().packed_bytes(q.m, q.w.rows);
}
void run_back(const Step& s, int worker, int workers) {
  Qmm q = qmm_of(s);
  q.packed = s.in.back().data;
  q.scratch = s.scratch;
  heavy_back().qmm(q, worker, workers);
}
size_t back_scratch(const Step& s, int workers) {
  return heavy_back().qmm_scratch(qmm_of(s), workers);
}

bool takes_floats(const Step& s) {
  for (const auto& in : s.in)
    if (in.dtype != float32) return false;
  return s.in[0].size() > 0;
}
double row_cost(const Step& s) { return static_cast<double>(s.in[0].size()); }
RowsBack rows_back_of(const Step& s) {
  RowsBack b;
  b.x = s.in[0].as<const float>(), b.y = s.out.as<float>();
  b.cols = s.in[0].shape.back();
  b.rows = s.in[0].size() / b.cols;
  return b;
}
void run_rms_norm_back(const Step& s, int worker, int workers) {
  RowsBack b = rows_back_of(s);
  b.g = s.in[1].as<const float>();
  if (s.in.size() > 2) b.weight = s.in[2].as<const float>();
  b.eps = s.params->as<ops::RmsNormBack::P>().eps;
  heavy_back().rms_norm(b, worker, workers);
}
// Losses and their derivatives: rows are shared as the kernels share them.
int64_t target_of(const Step& s, int64_t row, int64_t classes) {
  return checked("cross_entropy", index_at(s.in[1], row), classes,
                 static_cast<int>(s.in[0].shape.size()) - 1);
}
void run_cross_entropy(const Step& s, int worker, int workers) {
  const auto* x = s.in[0].as<const float>();
  auto* y = s.out.as<float>();
  Rows r;
  r.x = x, r.y = y, r.y_stride = 1;
  r.cols = r.x_stride = s.in[0].shape.back();
  r.rows = s.in[0].size() / r.cols;
  heavy().logsumexp(r, worker, workers);
  Share rows = share(r.rows, worker, workers);
  for (int64_t i = rows.from; i < rows.to; ++i) y[i] -= x[i * r.cols + target_of(s, i, r.cols)];
}
void run_cross_entropy_back(const Step& s, int worker, int workers) {
  RowsBack b = rows_back_of(s);
  b.g = s.in[2].as<const float>();
  heavy_back().softmax(b, worker, workers);
  Share rows = share(b.rows, worker, workers);
  for (int64_t i = rows.from; i < rows.to; ++i) b.y[i * b.cols + target_of(s, i, b.cols)] -= b.g[i];
}
bool takes_logits(const Step& s) {
  return s.in[0].dtype == float32 && (s.in.size() < 3 || s.in[2].dtype == float32) &&
         s.in[0].size() > 0;
}
HeadStrides strides_of(const Operand& o) { return {o.strides[0], o.strides[1], o.strides[2]}; }
AttentionBack attention_back_of(const Step& s) {
  const auto& p = s.params->as<ops::AttentionBack::P>();
  AttentionBack b;
  Attention& a = b.a;
  const Operand &q = s.in[0], &k = s.in[1], &v = s.in[2];
  a.batch = q.shape[0], a.q_heads = q.shape[1], a.kv_heads = k.shape[1];
  a.queries = q.shape[2], a.length = k.shape[2];
  a.key_dim = q.shape[3], a.value_dim = v.shape[3];
  a.q = q.data, a.q_at = strides_of(q);
  a.k = k.data, a.k_at = strides_of(k);
  a.v = v.data, a.v_at = strides_of(v);
  a.scale = p.scale, a.causal = p.causal;
  a.scratch = s.scratch;
  b.g = s.in[3].as<const float>(), b.g_at = strides_of(s.in[3]);
  b.dq = s.out.as<float>();
  b.dk = b.dq + a.q_heads * a.queries * a.key_dim;
  b.dv = b.dk + a.kv_heads * a.length * a.key_dim;
  b.batch_step = s.out.shape[1];
  return b;
}
void run_attention_back(const Step& s, int worker, int workers) {
  heavy_back().attention(attention_back_of(s), worker, workers);
}
size_t attention_back_scratch(const Step& s, int workers) {
  return heavy_back().attention_scratch(attention_back_of(s), workers);
}
double attention_back_cost(const Step& s) {
  return 0.3 * static_cast<double>(s.in[0].size()) * static_cast<double>(s.in[1].shape[2]);
}

}  // namespace

const Packing packed_cotangents{
    {.run = pack_back_rows, .cost = packing_cost, .name = "rounding to bfloat16"},
    back_packed_bytes,
    [](const Step&) { return uint64_t{0}; }};

void add_derivatives(KernelTable& t) {
  using namespace ops;
  Kernel product{.run = run_back, .fits = takes_back, .scratch = back_scratch};
  product.packing = &packed_cotangents;
  product.cost = qmm_cost;
  product.name = "bfloat16 tiles";
  t.add(op_of<QuantizedMatmul>, product);
  auto rows = [](KernelFn run, bool (*fits)(const Step&)) {
    return Kernel{.run = run, .fits = fits, .cost = row_cost, .name = "rows"};
  };
  t.add(op_of<RmsNormBack>, rows(run_rms_norm_back, takes_floats));
  t.add(op_of<CrossEntropy>, rows(run_cross_entropy, takes_logits));
  t.add(op_of<CrossEntropyBack>, rows(run_cross_entropy_back, takes_logits));
  t.add(op_of<ops::AttentionBack>, {.run = run_attention_back,
                                    .fits = takes_floats,
                                    .accepts = Accepts::rows,
                                    .scratch = attention_back_scratch,
                                    .cost = attention_back_cost,
                                    .name = "blocks of queries"});
}

}  // namespace tarn::cpu
