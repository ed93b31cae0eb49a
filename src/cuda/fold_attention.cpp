#include "cuda/fold_attention.h"

#include <optional>

#include "cuda/attention.h"
#include "cuda/device.h"
#include "cuda/layout.h"
#include "cuda/table.h"
#include "ops/movement.h"

namespace tarn::cuda {
namespace {

// in: the query (batch, heads, 1, size), caches of keys and values, the new key and value (batch,
// kv heads, 1, size), the periods of the rope if has_freqs. Float32 but for the caches.
struct FoldedAttention {
  float scale = 1, softcap = 0;
  int64_t window = 0;
  int dims = 0;  // 0: no rope
  bool traditional = false, has_freqs = false;
  float base = 0, turn_scale = 1;
  TARN_FIELDS(scale, softcap, window, dims, traditional, has_freqs, base, turn_scale)
};
const Op& folded_op() {
  static const Op op = op_of_plans("attention and its neighbours", tarn::Kind::fused);
  return op;
}

void first_two(const Operand& o, int64_t* at) { at[0] = o.strides[0], at[1] = o.strides[1]; }
void run_folded(const Step& s, int, int) {
  const auto& p = s.params->as<FoldedAttention>();
  AttentionCall c = attention_call(
      s, {.scale = p.scale, .causal = true, .softcap = p.softcap, .window = p.window});
  c.new_key = s.in[3].as<const float>(), c.new_value = s.in[4].as<const float>();
  first_two(s.in[3], c.new_key_at), first_two(s.in[4], c.new_value_at);
  c.turn = {.base = p.base, .scale = p.turn_scale, .dims = p.dims, .traditional = p.traditional};
  if (p.has_freqs) c.turn.freqs = s.in[5].as<const float>();
  c.early = s.are_from_outside(p.has_freqs ? 0b100110 : 0b110);
  launch_one_query(c, card()->processors, queue());
  check(cudaGetLastError(), "a launch");
}
const Kernel& folded_kernel() {
  static const Kernel kernel{.run = run_folded,
                             .accepts = Accepts::rows,
                             .writes = 0b110,
                             .name = "clusters share the keys, and append one"};
  return kernel;
}

// What the kernel reads; in the order of attention_one.cuh.
int64_t length_of(const Step& s, const Params& p) {
  auto length = p.as<ops::Attention::P>().length;
  return length > 0 ? length : s.in[1].shape[2];
}
int64_t place_of(const Step&, const Params& p) { return p.as<ops::SliceUpdate::P>().start[2]; }
int64_t position_of(const Step&, const Params& p) { return p.as<ops::Rope::P>().offset; }

class AttentionFolder {
 public:
  AttentionFolder(std::vector<Value>& values, const std::vector<std::vector<int>>& readers)
      : values_(values), readers_(readers) {}
  void fold(Value& v) {
    if (!is_kernel(v, ops::op_of<ops::Attention>) || v.in.size() != 3 || v.item < 0) return;
    if (!takes_one_query(step_of(v))) return;
    auto keys = update_of(v.in[1]), values = update_of(v.in[2]);
    const Value* query = turned(v.in[0]);
    const Value* key = keys ? turned(keys->added) : nullptr;
    if (!keys || !values || (query != nullptr) != (key != nullptr)) return;
    if (query && !turn_alike(*query, *key)) return;
    int q = query ? query->in[0] : v.in[0], k = query ? key->in[0] : keys->added;
    if (!is_row(q) || !is_row(k) || !is_row(values->added)) return;
    set_params(v, query);
    v.item_numbers = {{v.item, length_of},
                      {keys->update->item, place_of},
                      {values->update->item, place_of},
                      {query ? query->item : v.item, query ? position_of : length_of},
                      {query ? key->item : v.item, query ? position_of : length_of}};
    std::vector<int> in{q, keys->cache, values->cache, k, values->added};
    if (query && query->in.size() > 1) in.push_back(query->in[1]);
    v.in = std::move(in);
    v.op = &folded_op(), v.kernel = &folded_kernel(), v.item = -1;
    become_view(*keys), become_view(*values);
  }

 private:
  struct Update {
    Value* update;
    int cache, added;
  };
  Value& value(int id) { return values_[static_cast<size_t>(id)]; }
  size_t readers(int id) const { return readers_[static_cast<size_t>(id)].size(); }
  static bool is_kernel(const Value& v, const Op& op) {
    return v.kind == Value::Kind::kernel && v.op == &op && v.backend == cuda_backend() &&
           !v.in.empty();
  }
  Step step_of(const Value& v) {
    operands_.clear();
    for (int x : v.in) operands_.push_back(operand_of(value(x)));
    Step s;
    s.params = &v.params;
    s.in = operands_;
    s.out = operand_of(v);
    return s;
  }

  // An update of a position of a cache whose memory is free, which only the attention reads.
  std::optional<Update> update_of(int id) {
    Value& v = value(id);
    if (!is_kernel(v, ops::op_of<ops::SliceUpdate>) || v.in.size() != 2 || v.item < 0) return {};
    const Value& cache = value(v.in[0]);
    bool free = cache.kind == Value::Kind::leaf && cache.donated && cache.layout.offset == 0 &&
                operand_of(cache).contiguous && readers(v.in[0]) == 1 && readers(id) == 1;
    bool set = v.params.as<ops::SliceUpdate::P>().mode == ops::Update::set;
    Shape one = cache.layout.shape;
    one[2] = 1;
    if (!free || !set || value(v.in[1]).layout.shape != one) return {};
    return Update{&v, v.in[0], v.in[1]};
  }
  // The rope that makes a value which nothing else reads; null where that is something else.
  const Value* turned(int id) {
    const Value& v = value(id);
    bool is = is_kernel(v, ops::op_of<ops::Rope>) && !v.output && v.item >= 0 && readers(id) == 1;
    return is ? &v : nullptr;
  }
  static bool turn_alike(const Value& a, const Value& b) {
    const auto &p = a.params.as<ops::Rope::P>(), &q = b.params.as<ops::Rope::P>();
    bool same_freqs = a.in.size() == b.in.size() && (a.in.size() < 2 || a.in[1] == b.in[1]);
    return same_freqs && p.dims == q.dims && p.traditional == q.traditional && p.base == q.base &&
           p.scale == q.scale;
  }
  // A float32 whose last axis is contiguous.
  bool is_row(int id) {
    const Value& v = value(id);
    const auto& l = v.layout;
    return v.dtype == float32 && (l.shape.back() == 1 || l.strides.back() == 1);
  }
  static void set_params(Value& v, const Value* query) {
    const auto& a = v.params.as<ops::Attention::P>();
    FoldedAttention p{.scale = a.scale, .softcap = a.softcap, .window = a.window};
    if (query) {
      const auto& r = query->params.as<ops::Rope::P>();
      p.dims = r.dims, p.traditional = r.traditional, p.base = r.base, p.turn_scale = r.scale;
      p.has_freqs = query->in.size() > 1;
    }
    v.params = p;
  }
  void become_view(const Update& u) {
    Value& v = *u.update;
    v.kind = Value::Kind::view;
    v.in = {u.cache};
    v.base = u.cache;
    v.layout = value(u.cache).layout;
    v.kernel = nullptr, v.item = -1;
  }

  std::vector<Value>& values_;
  const std::vector<std::vector<int>>& readers_;
  std::vector<Operand> operands_{};
};

}  // namespace

void fold_attention(std::vector<Value>& values, const std::vector<std::vector<int>>& readers) {
  AttentionFolder folder(values, readers);
  for (Value& v : values) folder.fold(v);
}

}  // namespace tarn::cuda
