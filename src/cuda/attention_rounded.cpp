// Attention of float32 in balanced precision, there and back: factors become bfloat16 in the step's
// memory, and tensor cores multiply them.
#include "cuda/attention.h"
#include "cuda/attention_back.h"
#include "cuda/device.h"
#include "cuda/layout.h"
#include "ops/back.h"
#include "ops/compound.h"

namespace tarn::cuda {
namespace {

// Puts factors into the step's memory, one behind the other.
class Rounded {
 public:
  explicit Rounded(void* scratch) : next_(static_cast<std::byte*>(scratch)) {}
  const void* add(const Operand& x) {
    HeadsToRound& h = call_.of[call_.count++] = of(x);
    h.to = next_;
    next_ += rounded_bytes(h);
    return h.to;
  }
  // Behind them.
  void* launch() {
    launch_round(call_, queue());
    check(cudaGetLastError(), "a launch");
    return next_;
  }
  static size_t bytes(const Operand& x) { return rounded_bytes(of(x)); }

 private:
  static HeadsToRound of(const Operand& x) {
    HeadsToRound h;
    h.from = x.data, h.type = column(x.dtype);
    h.batch = x.shape[0], h.heads = x.shape[1], h.rows = x.shape[2], h.dim = x.shape[3];
    for (size_t i = 0; i < 3; ++i) h.at[i] = x.strides[i];
    return h;
  }

  RoundCall call_{};
  std::byte* next_;
};

// --- there: queries keep 16 bits, as two terms

AttentionCall rounded_call(const Step& s) {
  AttentionCall c = attention_call(s, s.params->as<ops::Attention::P>());
  c.kv_type = column(bfloat16);
  auto set = [&](int64_t* at, int64_t dim) {
    at[2] = dim, at[1] = c.capacity * dim, at[0] = c.kv_heads * at[1];
  };
  set(c.k_at, c.key_dim), set(c.v_at, c.value_dim);
  return c;
}
bool takes_rounded(const Step& s) {
  return s.params->as<ops::Attention::P>().precision == Precision::balanced && takes_any_keys(s) &&
         s.in[0].dtype == float32 && s.in[1].dtype == float32 &&
         many_queries_fit(rounded_call(s), card()->major);
}
size_t rounded_scratch(const Step& s, int) {
  return Rounded::bytes(s.in[1]) + Rounded::bytes(s.in[2]);
}
void run_rounded(const Step& s, int, int) {
  AttentionCall c = rounded_call(s);
  Rounded rounded(s.scratch);
  c.k = rounded.add(s.in[1]), c.v = rounded.add(s.in[2]);
  rounded.launch();
  launch_many_queries(c, queue());
  check(cudaGetLastError(), "a launch");
}

// --- back

AttentionBackCall back_call(const Step& s) {
  const auto& p = s.params->as<ops::AttentionBack::P>();
  const Shape &q = s.in[0].shape, &k = s.in[1].shape;
  AttentionBackCall c;
  c.batch = q[0], c.q_heads = q[1], c.kv_heads = k[1];
  c.queries = q[2], c.keys = k[2], c.dim = q[3];
  c.batch_step = size_at(s.out, 1);
  c.scale = p.scale, c.causal = p.causal;
  c.type = column(s.out.dtype);
  return c;
}
bool takes_back(const Step& s) {
  const auto& p = s.params->as<ops::AttentionBack::P>();
  const Dtype t = s.in[0].dtype;
  const bool rounds = t == float32 && p.precision == Precision::balanced;
  return (rounds || t == bfloat16) && s.in[2].shape[3] == s.in[0].shape[3] && s.out.size() > 0 &&
         attention_back_fits(back_call(s), card()->major);
}
size_t back_scratch(const Step& s, int) {
  size_t bytes = attention_back_rows(back_call(s)) * sizeof(float2);
  for (const Operand& x : s.in) bytes += Rounded::bytes(x);
  return bytes;
}
void run_back(const Step& s, int, int) {
  AttentionBackCall c = back_call(s);
  Rounded rounded(s.scratch);
  c.q = rounded.add(s.in[0]), c.k = rounded.add(s.in[1]), c.v = rounded.add(s.in[2]);
  c.g = rounded.add(s.in[3]);
  c.rows = static_cast<float2*>(rounded.launch());
  const int64_t bytes = size_of(s.out.dtype);
  auto* out = static_cast<std::byte*>(s.out.data);
  c.dq = out;
  c.dk = out + c.q_heads * c.queries * c.dim * bytes;
  c.dv = out + (c.q_heads * c.queries + c.kv_heads * c.keys) * c.dim * bytes;
  launch_attention_back(c, queue());
  check(cudaGetLastError(), "a launch");
}

}  // namespace

void add_rounded_attention(KernelTable& t) {
  t.add(ops::op_of<ops::Attention>, {.run = run_rounded,
                                     .fits = takes_rounded,
                                     .accepts = Accepts::rows,
                                     .scratch = rounded_scratch,
                                     .number = keys_that_count,
                                     .name = "128 queries a block, keys rounded to bfloat16"});
}
void add_attention_back(KernelTable& t) {
  t.add(ops::op_of<ops::AttentionBack>, {.run = run_back,
                                         .fits = takes_back,
                                         .accepts = Accepts::rows,
                                         .scratch = back_scratch,
                                         .name = "128 rows a block, in bfloat16"});
}

}  // namespace tarn::cuda
