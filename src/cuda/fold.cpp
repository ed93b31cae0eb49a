// What decoding does one after the other, done by one kernel: a norm goes into the products that
// read it, silu(x) * y into the product that reads it, a sum into the one that it adds to, a cast
// into the update of a cache.
#include "cuda/fold.h"

#include <algorithm>

#include "cuda/fold_attention.h"
#include "cuda/table.h"
#include "ops/catalogue.h"
#include "ops/compound.h"
#include "ops/low_rank.h"
#include "ops/movement.h"
#include "runtime/values.h"

namespace tarn::cuda {
namespace {

const Op& folded_product_op() {
  static const Op op = op_of_plans("quantized_matmul and its neighbours", tarn::Kind::contraction);
  return op;
}

const Op& term_and_sum_op() {
  static const Op op = op_of_plans("quantized_matmul_plus and a sum", tarn::Kind::contraction);
  return op;
}

class Folder {
 public:
  explicit Folder(std::vector<Value>& values) : values_(values), readers_(values.size()) {
    for (size_t i = 0; i < values.size(); ++i)
      for (int x : values[i].in) readers_[static_cast<size_t>(x)].push_back(static_cast<int>(i));
  }
  void run() {
    for (Value& v : values_) fold_norm(v);
    for (Value& v : values_) fold_pair(v);
    for (Value& v : values_) fold_gate(v);
    for (Value& v : values_) fold_sum(v);
    for (Value& v : values_) fold_term(v);
    for (Value& v : values_) fold_cast(v);
    fold_attention(values_, readers_);
  }

 private:
  Value& value(int id) { return values_[static_cast<size_t>(id)]; }
  const std::vector<int>& readers(int id) const { return readers_[static_cast<size_t>(id)]; }
  bool is_kernel(const Value& v, const Op& op) const {
    return v.kind == Value::Kind::kernel && v.op == &op && v.backend == cuda_backend();
  }
  bool is_product(const Value& v) {
    if (!is_kernel(v, ops::op_of<ops::QuantizedMatmul>) || v.in.empty()) return false;
    std::vector<Operand> in;
    for (int x : v.in) in.push_back(operand_of(value(x)));
    Step s;
    s.params = &v.params;
    s.in = in;
    s.out = operand_of(v);
    bool is_float = value(v.in[0]).dtype == float32 && v.dtype == float32;
    return is_float && is_one_row(*v.kernel, s);
  }
  bool is_folded(const Value& v) const { return is_kernel(v, folded_product_op()); }
  // A float32 in row order, with that shape.
  static bool is_plain(const Value& v, const Shape& shape) {
    return v.dtype == float32 && v.layout.shape == shape && operand_of(v).contiguous;
  }

  // The product `v` as one that is folded.
  void begin(Value& v) {
    if (is_folded(v)) return;
    const auto& p = v.params.as<ops::QuantizedMatmul::P>();
    v.params = FoldedProduct{.group = p.group, .precision = p.precision};
    v.op = &folded_product_op();
    v.kernel = &folded_kernel();
  }

  void fold_norm(Value& norm) {
    if (!is_kernel(norm, ops::op_of<ops::RmsNorm>) || norm.output || norm.in.empty()) return;
    int id = static_cast<int>(&norm - values_.data());
    const auto& all = readers(id);
    bool fits = value(norm.in[0]).dtype == float32 && !all.empty() &&
                std::all_of(all.begin(), all.end(), [&](int r) {
                  return value(r).in[0] == id && is_product(value(r)) &&
                         std::count(value(r).in.begin(), value(r).in.end(), id) == 1;
                });
    if (!fits) return;
    for (int r : all) {
      Value& v = value(r);
      begin(v);
      auto p = v.params.as<FoldedProduct>();
      p.normed = true, p.eps = norm.params.as<ops::RmsNorm::P>().eps;
      p.weighted = norm.in.size() > 1;
      v.params = p;
      v.in[0] = norm.in[0];
      if (p.weighted) v.in.push_back(norm.in[1]);
    }
    norm.in.clear();
  }

  bool is_elementwise(int id, const Op& op, size_t arity) {
    const Value& v = value(id);
    return v.kind == Value::Kind::elementwise && v.op == &op && v.in.size() == arity && !v.output &&
           v.backend == cuda_backend();
  }
  bool is_read_once(int id) const { return readers(id).size() == 1; }
  // The x of silu(x), which nothing else reads; -1 where `id` is something else.
  int gate_of(int id) {
    if (!is_elementwise(id, ops::op_of<ops::Multiply>, 2) || !is_read_once(id)) return -1;
    for (size_t side : {0u, 1u}) {
      int x = value(id).in[side], sigmoid = value(id).in[1 - side];
      if (is_elementwise(sigmoid, ops::op_of<ops::Sigmoid>, 1) && is_read_once(sigmoid) &&
          value(sigmoid).in[0] == x)
        return x;
    }
    return -1;
  }
  // silu(a) * b of two products of the same x.
  void fold_pair(Value& v) {
    int id = static_cast<int>(&v - values_.data());
    if (!is_elementwise(id, ops::op_of<ops::Multiply>, 2)) return;
    for (size_t side : {0u, 1u}) {
      int gate = gate_of(v.in[side]), factor = v.in[1 - side];
      if (gate < 0 || gate == factor || !is_free_product(gate, v) || !is_free_product(factor, v))
        continue;
      // The gate is read by its sigmoid, too.
      if (readers(gate).size() != 2 || readers(factor).size() != 1) continue;
      Value &a = value(gate), &b = value(factor);
      begin(a), begin(b);
      if (!are_pair(a, b)) continue;
      auto p = a.params.as<FoldedProduct>();
      p.paired = true;
      v.kind = Value::Kind::kernel;
      v.op = a.op, v.kernel = a.kernel, v.params = p, v.item = -1;
      v.in = a.in;
      v.in.insert(v.in.end(), b.in.begin() + 1, b.in.begin() + 4);
      a.in.clear(), b.in.clear();
      return;
    }
  }
  bool is_free_product(int id, const Value& reader) {
    const Value& v = value(id);
    return !v.in.empty() && (is_folded(v) || is_product(v)) && !v.output &&
           is_plain(v, reader.layout.shape);
  }
  // Of the same x, normed alike or not at all.
  bool are_pair(const Value& a, const Value& b) {
    const auto &p = a.params.as<FoldedProduct>(), &q = b.params.as<FoldedProduct>();
    bool alike = p.group == q.group && p.precision == q.precision && p.normed == q.normed &&
                 p.weighted == q.weighted && p.eps == q.eps && !p.gated && !p.added && !p.paired &&
                 !q.gated && !q.added && !q.paired;
    return alike && a.in[0] == b.in[0] && (!p.weighted || a.in[4] == b.in[4]) &&
           value(a.in[2]).dtype == value(b.in[2]).dtype &&
           makes_pairs(p, operand_of(value(a.in[0])), value(a.in[2]).dtype);
  }
  void fold_gate(Value& v) {
    if (v.in.empty() || !is_product(v)) return;
    int product = v.in[0];
    if (!is_elementwise(product, ops::op_of<ops::Multiply>, 2) || !is_read_once(product)) return;
    for (size_t side : {0u, 1u}) {
      int gate = gate_of(value(product).in[side]), factor = value(product).in[1 - side];
      const Shape& shape = value(product).layout.shape;
      if (gate < 0 || !is_plain(value(gate), shape) || !is_plain(value(factor), shape)) continue;
      begin(v);
      auto p = v.params.as<FoldedProduct>();
      p.gated = true;
      v.params = p;
      v.in[0] = gate;
      v.in.push_back(factor);
      value(product).in.clear();
      return;
    }
  }

  bool is_sum(const Value& v) {
    return v.kind == Value::Kind::elementwise && v.op == &ops::op_of<ops::Add> &&
           v.in.size() == 2 && v.dtype == float32 && v.backend == cuda_backend();
  }
  // Whether nothing but the sum reads `at`, and the sum is of no other shape than its parts.
  bool is_alone(const Value& sum, int at, int other) {
    return at != other && !value(at).output && is_read_once(at) &&
           is_plain(value(at), sum.layout.shape) && is_plain(value(other), sum.layout.shape);
  }
  // The sum becomes the product `v` that adds `other`.
  void take_over(Value& sum, Value& v, int other) {
    sum.kind = Value::Kind::kernel;
    sum.op = v.op, sum.kernel = v.kernel, sum.params = v.params, sum.item = -1;
    sum.in = v.in;
    sum.in.push_back(other);
    v.in.clear();
  }
  void fold_sum(Value& sum) {
    if (!is_sum(sum)) return;
    for (int side : {0, 1}) {
      int at = sum.in[static_cast<size_t>(side)], other = sum.in[static_cast<size_t>(1 - side)];
      Value& v = value(at);
      if (!(is_folded(v) || is_product(v)) || !is_alone(sum, at, other)) continue;
      begin(v);
      auto p = v.params.as<FoldedProduct>();
      if (p.added) continue;
      p.added = true;
      v.params = p;
      return take_over(sum, v, other);
    }
  }
  void fold_term(Value& sum) {
    if (!is_sum(sum)) return;
    for (int side : {0, 1}) {
      int at = sum.in[static_cast<size_t>(side)], other = sum.in[static_cast<size_t>(1 - side)];
      Value& v = value(at);
      bool term = is_kernel(v, ops::op_of<ops::QuantizedMatmulPlus>) && is_term(*v.kernel);
      if (!term || !is_alone(sum, at, other)) continue;
      v.op = &term_and_sum_op(), v.kernel = &term_and_sum_kernel();
      return take_over(sum, v, other);
    }
  }

  void fold_cast(Value& update) {
    if (!is_kernel(update, ops::op_of<ops::SliceUpdate>) || update.in.size() < 2) return;
    Value& cast = value(update.in[1]);
    if (cast.kind != Value::Kind::elementwise || cast.op != &ops::as_type_op || cast.output ||
        readers(update.in[1]).size() != 1 || cast.backend != cuda_backend())
      return;
    const Value& from = value(cast.in[0]);
    bool halves = from.dtype == float32 && (cast.dtype == float16 || cast.dtype == bfloat16);
    if (!halves || from.layout.shape != cast.layout.shape) return;
    update.in[1] = cast.in[0];
    cast.in.clear();
  }

  std::vector<Value>& values_;
  std::vector<std::vector<int>> readers_;  // as the values were given
};

}  // namespace

void fold_values(std::vector<Value>& values) { Folder(values).run(); }

}  // namespace tarn::cuda
