// The gated delta rule: rows of a state (Dv, Dk) know nothing of each other, so workers share the
// rows of all heads. A block of them stays in the first-level cache (16 rows of 128 floats are
// 8 KiB) while the steps run over it, and each step's key and query serve the whole block.
#include <algorithm>
#include <vector>

#include "cpu/move.h"
#include "cpu/number.h"
#include "cpu/share.h"
#include "ops/compound.h"

namespace tarn::cpu {
namespace {

constexpr int64_t rows_at_once = 16;
constexpr int64_t lanes = 8;  // partial sums that a compiler may keep in one vector

template <class A>
A dot(const A* a, const A* b, int64_t n) {
  A part[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int64_t j = 0; j < lanes; ++j) part[j] += a[i + j] * b[i + j];
  for (int64_t j = 0; i < n; ++i, ++j) part[j] += a[i] * b[i];
  A sum = 0;
  for (A p : part) sum += p;
  return sum;
}

template <class T>
struct DeltaRule {
  using A = std::conditional_t<std::is_same_v<T, double>, double, float>;
  const Step& s;
  int64_t steps = s.in[2].shape[1], heads = s.in[2].shape[2], rows = s.in[2].shape[3];
  int64_t shared = s.in[0].shape[2], columns = s.in[0].shape[3];
  bool gate_each = s.in[3].shape.size() == 4;
  std::vector<A> state{}, key = line(), query = line(), gate = line();

  std::vector<A> line() const { return std::vector<A>(static_cast<size_t>(columns)); }
  static A wide(T x) { return static_cast<A>(widen(x)); }
  const T* input(size_t i) const { return s.in[i].template as<const T>(); }
  static void load(std::vector<A>& to, const T* from) {
    for (size_t i = 0; i < to.size(); ++i) to[i] = wide(from[i]);
  }

  // Rows [from, to) of one head of one batch.
  void run(int64_t batch, int64_t head, int64_t from, int64_t to) {
    int64_t count = to - from;
    T* out = s.out.as<T>() + (batch * heads + head) * (steps + columns) * rows;
    const T* first = input(5) + ((batch * heads + head) * rows + from) * columns;
    state.resize(static_cast<size_t>(count * columns));
    load(state, first);
    for (int64_t t = 0; t < steps; ++t) {
      int64_t at = (batch * steps + t) * heads + head;
      int64_t of_key = ((batch * steps + t) * shared + head * shared / heads) * columns;
      load(query, input(0) + of_key);
      load(key, input(1) + of_key);
      if (gate_each)
        load(gate, input(3) + at * columns);
      else
        std::fill(gate.begin(), gate.end(), wide(input(3)[at]));
      for (int64_t i = 0; i < count; ++i)
        out[t * rows + from + i] =
            narrow<T>(moved(&state[static_cast<size_t>(i * columns)],
                            wide(input(2)[at * rows + from + i]), wide(input(4)[at])));
    }
    T* last = out + steps * rows + from * columns;
    for (size_t i = 0; i < state.size(); ++i) last[i] = narrow<T>(state[i]);
  }
  // A row of the state one step on, and what it puts out.
  A moved(A* row, A value, A beta) {
    for (int64_t j = 0; j < columns; ++j) row[j] *= gate[static_cast<size_t>(j)];
    A change = beta * (value - dot(row, key.data(), columns));
    for (int64_t j = 0; j < columns; ++j) row[j] += change * key[static_cast<size_t>(j)];
    return dot(row, query.data(), columns);
  }
};

void run_delta_rule(const Step& s, int worker, int workers) {
  int64_t rows = s.in[2].shape[3], heads = s.in[2].shape[2];
  int64_t blocks = (rows + rows_at_once - 1) / rows_at_once;
  Share part = share(s.in[2].shape[0] * heads * blocks, worker, workers);
  if (part.from >= part.to) return;
  visit_dtype(s.out.dtype, [&](auto t) {
    using T = decltype(t);
    if constexpr (std::is_floating_point_v<T> || is_half<T>) {
      DeltaRule<T> rule{s};
      for (int64_t i = part.from; i < part.to; ++i) {
        int64_t from = i % blocks * rows_at_once, head = i / blocks;
        rule.run(head / heads, head % heads, from, std::min(from + rows_at_once, rows));
      }
    }
  });
}
double delta_cost(const Step& s) {
  return 2.0 * static_cast<double>(s.in[2].size() * s.in[0].shape[3]);
}

}  // namespace

void add_delta_rules(KernelTable& t) {
  using namespace ops;
  t.add(op_of<GatedDelta>, {.run = run_delta_rule, .cost = delta_cost, .name = "blocks of rows"});
}

}  // namespace tarn::cpu
