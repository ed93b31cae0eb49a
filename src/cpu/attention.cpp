// Attention: steps turned into calls of the heavy kernels.
#include <optional>

#include "cpu/heavy.h"
#include "cpu/move.h"
#include "cpu/reduce.h"
#include "ops/ragged.h"

namespace tarn::cpu {
namespace {

HeadStrides strides_of(const Operand& o) { return {o.strides[0], o.strides[1], o.strides[2]}; }
// All of q over all of k and v, without what an op's parameters say.
Attention attention_between(const Operand& q, const Operand& k, const Operand& v,
                            const Operand& out) {
  Attention a;
  a.batch = q.shape[0], a.q_heads = q.shape[1], a.kv_heads = k.shape[1];
  a.queries = q.shape[2], a.key_dim = q.shape[3], a.value_dim = v.shape[3];
  a.length = k.shape[2];
  a.q = q.data, a.q_at = strides_of(q), a.type = store_of(q.dtype);
  a.k = k.data, a.k_at = strides_of(k);
  a.v = v.data, a.v_at = strides_of(v);
  a.kv_type = store_of(k.dtype);
  a.out = out.data, a.out_at = strides_of(out);
  return a;
}
Attention attention_of(const Step& s) {
  const auto& p = s.params->as<ops::Attention::P>();
  Attention a = attention_between(s.in[0], s.in[1], s.in[2], s.out);
  if (p.length > 0) a.length = p.length;
  a.scale = p.scale, a.causal = p.causal;
  if (p.has_mask) {
    const Operand& m = s.in[3];
    size_t n = m.shape.size();
    auto stride = [&](size_t from_end) {
      return n >= from_end && m.shape[n - from_end] != 1 ? m.strides[n - from_end] : int64_t{0};
    };
    a.mask_kind = m.dtype == bool_ ? MaskKind::boolean : MaskKind::additive;
    a.mask = m.data;
    a.mask_at = {stride(4), stride(3), stride(2)};
    a.mask_key = stride(1);
  }
  if (p.has_sinks) a.sinks = s.in.back().as<const float>();
  a.scratch = s.scratch;
  return a;
}
void run_attention(const Step& s, int worker, int workers) {
  heavy().attention(attention_of(s), worker, workers);
}
// The scratch is for the whole capacity, so that a plan lasts while the length grows.
size_t attention_scratch(const Step& s, int workers) {
  Attention a = attention_of(s);
  a.length = s.in[1].shape[2];
  size_t most = 0;
  for (int w = 1; w <= workers; ++w) most = std::max(most, heavy().attention_scratch(a, w));
  return most;
}
bool takes_attention(const Step& s) {
  const auto& p = s.params->as<ops::Attention::P>();
  bool mask = !p.has_mask || s.in[3].dtype == float32 || s.in[3].dtype == bool_;
  bool sinks = !p.has_sinks || s.in.back().dtype == float32;
  return is_store(s.in[0].dtype) && p.softcap == 0 && p.window == 0 && is_store(s.in[1].dtype) &&
         s.in[1].dtype == s.in[2].dtype && mask && sinks && s.out.size() > 0 && s.in[1].size() > 0;
}
double attention_cost(const Step& s) {
  return 0.1 * static_cast<double>(s.in[0].size()) * static_cast<double>(s.in[1].shape[2]);
}

// --- a query a row, over keys of the row's own

// What row `row` is as one attention.
Attention attention_of_row(const Step& s, int64_t row) {
  const auto& p = s.params->as<ops::RaggedAttention::P>();
  auto r = static_cast<size_t>(row);
  auto from = [row](const Operand& o) {
    return o.as<std::byte>() + row * o.strides[0] * int64_t{o.dtype.size};
  };
  Attention a = attention_between(s.in[0], s.in[1 + 2 * r], s.in[2 + 2 * r], s.out);
  a.batch = 1, a.length = p.lengths[r];
  a.q = from(s.in[0]), a.out = from(s.out);
  a.scale = p.scale;
  return a;
}
// The queries of one key head, which read its keys once.
Attention head_of(Attention a, int64_t head) {
  auto moved = [head](const void* base, Store type, int64_t heads, const HeadStrides& at) {
    int64_t bytes = type == Store::f32 ? 4 : 2;
    return static_cast<const std::byte*>(base) + head * heads * at.head * bytes;
  };
  int64_t queries = a.q_heads / a.kv_heads;
  a.q = moved(a.q, a.type, queries, a.q_at);
  a.out = const_cast<std::byte*>(moved(a.out, a.type, queries, a.out_at));
  a.k = moved(a.k, a.kv_type, 1, a.k_at);
  a.v = moved(a.v, a.kv_type, 1, a.v_at);
  a.q_heads = queries, a.kv_heads = 1;
  return a;
}
size_t row_scratch(const Step& s) { return heavy().attention_scratch(attention_of_row(s, 0), 1); }
// Key heads of rows in order, cut where the keys of all are in equal parts.
void run_ragged(const Step& s, int worker, int workers) {
  constexpr int64_t kBesideKeys = 32;  // what a head costs beside its keys, in keys
  int64_t heads = s.in[1].shape[1], keys = 0;
  const Shape& lengths = s.params->as<ops::RaggedAttention::P>().lengths;
  for (int64_t n : lengths) keys += (n + kBesideKeys) * heads;
  auto* scratch = static_cast<std::byte*>(s.scratch) + row_scratch(s) * size_t(worker);
  int64_t before = 0;
  std::optional<Attention> mine;  // the head before this one, which asks for this one's keys
  for (size_t row = 0; row < lengths.size(); ++row) {
    Attention all = attention_of_row(s, static_cast<int64_t>(row));
    all.scratch = scratch;
    for (int64_t head = 0; head < heads; ++head, before += lengths[row] + kBesideKeys) {
      if (before * workers / keys != worker) continue;
      Attention next = head_of(all, head);
      if (mine) mine->next_k = next.k, heavy().attention(*mine, 0, 1);
      mine = next;
    }
  }
  if (mine) heavy().attention(*mine, 0, 1);
}
size_t ragged_scratch(const Step& s, int workers) { return row_scratch(s) * size_t(workers); }
bool takes_ragged(const Step& s) {
  if (!is_store(s.in[0].dtype) || !is_store(s.in[1].dtype) || s.out.size() == 0) return false;
  for (size_t i = 1; i < s.in.size(); ++i) {
    const Operand &x = s.in[i], &first = s.in[2 - i % 2];  // the first keys, or the first values
    if (x.size() == 0 || x.dtype != s.in[1].dtype || x.shape[1] != s.in[1].shape[1] ||
        x.shape[3] != first.shape[3])
      return false;
  }
  return true;
}
double ragged_cost(const Step& s) {
  double cost = 0;
  for (size_t i = 1; i < s.in.size(); i += 2) cost += 0.1 * static_cast<double>(s.in[i].shape[2]);
  return cost * static_cast<double>(s.in[0].size() / s.in[0].shape[0]);
}

}  // namespace

void add_attention(KernelTable& t) {
  using namespace ops;
  t.add(op_of<RaggedAttention>, {.run = run_ragged,
                                 .fits = takes_ragged,
                                 .accepts = Accepts::rows,
                                 .scratch = ragged_scratch,
                                 .cost = ragged_cost,
                                 .name = "online softmax"});
  t.add(op_of<ops::Attention>, {.run = run_attention,
                                .fits = takes_attention,
                                .accepts = Accepts::rows,
                                .scratch = attention_scratch,
                                .cost = attention_cost,
                                .name = "online softmax"});
}

}  // namespace tarn::cpu
