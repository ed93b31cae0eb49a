// Softmax, norms, rope and attention: steps turned into calls of rows.cu and attention.cu.
#include "cuda/rows.h"

#include "cuda/attention.h"
#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/table.h"
#include "ops/compound.h"

namespace tarn::cuda {
namespace {

bool takes_rows(const Step& s) {
  for (const auto& in : s.in)
    if (!is_small_float(in.dtype)) return false;
  return s.in[0].size() > 0;
}
RowsCall rows_of(const Step& s) {
  RowsCall c;
  c.cols = s.in[0].shape.empty() ? 1 : s.in[0].shape.back();
  c.rows = s.in[0].size() / c.cols;
  c.x = s.in[0].data, c.y = s.out.data;
  c.type = column(s.in[0].dtype);
  return c;
}
template <void (*launch)(const RowsCall&, cudaStream_t)>
void run_rows(const Step& s, int, int) {
  launch(rows_of(s), queue());
  check(cudaGetLastError(), "a launch");
}
void run_rms_norm(const Step& s, int, int) {
  RowsCall c = rows_of(s);
  c.eps = s.params->as<ops::RmsNorm::P>().eps;
  if (s.in.size() > 1) c.weight = s.in[1].data, c.weight_type = column(s.in[1].dtype);
  launch_rms_norm(c, queue());
  check(cudaGetLastError(), "a launch");
}
void run_layer_norm(const Step& s, int, int) {
  const auto& p = s.params->as<ops::LayerNorm::P>();
  RowsCall c = rows_of(s);
  c.eps = p.eps;
  if (p.has_weight) c.weight = s.in[1].data, c.weight_type = column(s.in[1].dtype);
  if (p.has_bias) c.bias = s.in.back().data, c.bias_type = column(s.in.back().dtype);
  launch_layer_norm(c, queue());
  check(cudaGetLastError(), "a launch");
}

bool takes_rope(const Step& s) {
  constexpr int64_t most_rows = int64_t{1} << 32;
  const Operand& x = s.in[0];
  return is_small_float(x.dtype) && (s.in.size() < 2 || s.in[1].dtype == float32) && x.size() > 0 &&
         x.size() / size_at(x, 1) < most_rows && x.shape.size() <= most_axes;
}
RopeCall rope_call(const Step& s) {
  const auto& p = s.params->as<ops::Rope::P>();
  const Operand& x = s.in[0];
  size_t lead = x.shape.size() - 2;
  RopeCall c;
  c.x = x.data, c.y = s.out.data;
  c.freqs = s.in.size() > 1 ? s.in[1].as<const float>() : nullptr;
  c.lead = strided(Shape(x.shape.begin(), x.shape.end() - 2),
                   Strides(x.strides.begin(), x.strides.end() - 2));
  for (size_t i = 0; i < lead; ++i) c.outer *= x.shape[i];
  c.length = size_at(x, 2), c.width = size_at(x, 1), c.row_stride = stride_at(x, 2);
  constexpr int64_t enough = 1 << 16, shared = 8;  // numbers; angles take longer than the rest
  if (s.out.size() >= enough) c.rows = shared;
  c.number = s.number;
  c.dims = p.dims, c.type = column(x.dtype);
  c.traditional = p.traditional, c.base = p.base, c.scale = p.scale;
  return c;
}
int64_t first_position(const Step& s) { return s.params->as<ops::Rope::P>().offset; }
bool any_ropes(const Step&, const Step&) { return true; }
void run_ropes(std::span<const Step> steps) {
  RopeCalls calls;
  for (const Step& s : steps) calls.of[calls.count++] = rope_call(s);
  launch_rope(calls, queue());
  check(cudaGetLastError(), "a launch");
}
void run_rope(const Step& s, int, int) { run_ropes({&s, 1}); }

// Many queries are left to products of matrices, unless their scores take too much memory.
constexpr int64_t most_queries = 16, most_scores = int64_t{1} << 28;
bool takes_attention(const Step& s) {
  const Shape &q = s.in[0].shape, &k = s.in[1].shape;
  bool few = q[2] <= most_queries || q[0] * q[1] * q[2] * k[2] > most_scores;
  return takes_any_keys(s) && few && k[2] <= most_keys;
}
void first_three(const Operand& o, int64_t* at) {
  for (size_t i = 0; i < 3; ++i) at[i] = o.strides[i];
}
void set_mask(AttentionCall& c, const Operand& m) {
  c.mask = m.data;
  c.mask_type = column(m.dtype);
  c.masked = m.dtype == bool_ ? Mask::boolean : Mask::additive;
  size_t n = m.shape.size();
  for (size_t i = 0; i < 4; ++i)
    if (n >= 4 - i && m.shape[n - 4 + i] != 1) c.mask_at[i] = m.strides[n - 4 + i];
}
}  // namespace

bool takes_any_keys(const Step& s) {
  const auto& p = s.params->as<ops::Attention::P>();
  bool mask = !p.has_mask || s.in[3].dtype == bool_ || is_small_float(s.in[3].dtype);
  bool sinks = !p.has_sinks || s.in.back().dtype == float32;
  return is_small_float(s.in[0].dtype) && is_small_float(s.in[1].dtype) &&
         s.in[1].dtype == s.in[2].dtype && mask && sinks && s.out.size() > 0 && s.in[1].size() > 0;
}
int64_t keys_that_count(const Step& s) {
  auto length = s.params->as<ops::Attention::P>().length;
  return length > 0 ? length : s.in[1].shape[2];
}
AttentionCall attention_call(const Step& s, const ops::Attention::P& p) {
  const Operand &q = s.in[0], &k = s.in[1], &v = s.in[2];
  AttentionCall c;
  c.q = q.data, c.k = k.data, c.v = v.data, c.out = s.out.data, c.scratch = s.scratch;
  first_three(q, c.q_at), first_three(k, c.k_at), first_three(v, c.v_at);
  c.batch = q.shape[0], c.q_heads = q.shape[1], c.kv_heads = k.shape[1], c.queries = q.shape[2];
  c.key_dim = q.shape[3], c.value_dim = v.shape[3];
  c.number = s.number, c.capacity = k.shape[2];
  c.window = p.window, c.scale = p.scale, c.softcap = p.softcap, c.causal = p.causal;
  c.type = column(q.dtype), c.kv_type = column(k.dtype);
  if (p.has_mask) set_mask(c, s.in[3]);
  if (p.has_sinks) c.sinks = s.in.back().data;
  return c;
}
bool takes_one_query(const Step& s) {
  AttentionCall c = attention_call(s, s.params->as<ops::Attention::P>());
  return takes_any_keys(s) && one_query_fits(c, card()->major);
}

namespace {

AttentionCall attention_call(const Step& s) {
  return cuda::attention_call(s, s.params->as<ops::Attention::P>());
}
void run_attention(const Step& s, int, int) {
  launch_attention(attention_call(s), queue());
  check(cudaGetLastError(), "a launch");
}
bool off_line(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 != 0; }
void run_one_query(const Step& s, int workers, int share) {
  AttentionCall c = attention_call(s);
  if (off_line(c.k) || off_line(c.v)) return run_attention(s, workers, share);
  c.early = s.are_from_outside(0b110);
  launch_one_query(c, card()->processors, queue());
  check(cudaGetLastError(), "a launch");
}
bool takes_few_queries(const Step& s) {
  return takes_any_keys(s) && few_queries_fit(attention_call(s));
}
size_t few_queries_scratch_of(const Step& s, int) {
  return few_queries_scratch(attention_call(s), card()->processors);
}
void run_few_queries(const Step& s, int workers, int share) {
  AttentionCall c = attention_call(s);
  if ((off_line(c.k) || off_line(c.v)) && c.capacity <= most_keys)
    return run_attention(s, workers, share);
  launch_few_queries(c, card()->processors, queue());
  check(cudaGetLastError(), "a launch");
}
bool takes_many_queries(const Step& s) {
  return takes_any_keys(s) && many_queries_fit(attention_call(s), card()->major);
}
void run_many_queries(const Step& s, int, int) {
  launch_many_queries(attention_call(s), queue());
  check(cudaGetLastError(), "a launch");
}

Kernel row_kernel(KernelFn run) { return {.run = run, .fits = takes_rows, .name = "rows"}; }

}  // namespace

void add_rows(KernelTable& t) {
  using namespace ops;
  t.add(op_of<Softmax>, row_kernel(run_rows<launch_softmax>));
  t.add(op_of<LogSumExp>, row_kernel(run_rows<launch_logsumexp>));
  t.add(op_of<RmsNorm>, row_kernel(run_rms_norm));
  t.add(op_of<LayerNorm>, row_kernel(run_layer_norm));
  t.add(op_of<Rope>, {.run = run_rope,
                      .fits = takes_rope,
                      .accepts = Accepts::rows,
                      .number = first_position,
                      .joins = any_ropes,
                      .run_joined = run_ropes,
                      .name = "positions"});
  t.add(op_of<ops::Attention>, {.run = run_one_query,
                                .fits = takes_one_query,
                                .accepts = Accepts::rows,
                                .number = keys_that_count,
                                .name = "clusters share the keys"});
  t.add(op_of<ops::Attention>, {.run = run_few_queries,
                                .fits = takes_few_queries,
                                .accepts = Accepts::rows,
                                .scratch = few_queries_scratch_of,
                                .number = keys_that_count,
                                .name = "blocks share the keys"});
  t.add(op_of<ops::Attention>, {.run = run_many_queries,
                                .fits = takes_many_queries,
                                .accepts = Accepts::rows,
                                .number = keys_that_count,
                                .name = "128 queries a block, on tensor cores"});
  add_rounded_attention(t);
  t.add(op_of<ops::Attention>, {.run = run_attention,
                                .fits = takes_attention,
                                .accepts = Accepts::rows,
                                .number = keys_that_count,
                                .name = "a block a query"});
}

}  // namespace tarn::cuda
