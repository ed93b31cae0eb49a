#include "runtime/lower.h"

#include <algorithm>

#include "base/require.h"
#include "base/thread_pool.h"
#include "ops/kinds.h"
#include "runtime/fuse.h"
#include "runtime/slab.h"
#include "runtime/values.h"

namespace tarn {
namespace {

// Below this a step runs on one worker: a share of it would be smaller than a barrier.
constexpr double serial_below_ns = 1500;
// A fused instruction on one element, roughly.
constexpr double fused_ns = 0.4;

struct Storage {
  int64_t bytes = 0;
  int first = -1, last = -1;  // steps
  bool outlives = false;
  int same_as = -1;  // the value whose memory this one takes over
};

// What a step touches, to find out where workers must wait for each other.
struct Access {
  Place place{};
  size_t from = 0, to = 0;
  bool write = false, serial = false;
};

// An operand of a chain as the chain's result sees it: repeated along axes it lacks.
Operand repeated(Operand o, const Shape& shape) {
  if (o.shape == shape) return o;
  Strides strides(shape.size(), 0);
  size_t extra = shape.size() - o.shape.size();
  for (size_t i = 0; i < o.shape.size(); ++i)
    if (o.shape[i] != 1 || shape[extra + i] == 1) strides[extra + i] = o.strides[i];
  o.shape = shape;
  o.strides = std::move(strides);
  o.contiguous = is_row_contiguous(o.shape, o.strides);
  return o;
}

class Planner {
 public:
  Planner(const GraphView& graph, const Backend& backend)
      : graph_(graph),
        backend_(backend),
        plan_(std::make_unique<Plan>()),
        builder_(graph, backend, *plan_) {}

  std::unique_ptr<Plan> plan() {
    builder_.build();
    mark_outputs();
    drop_unneeded();
    choose_steps(values(), lower_options().fuse);
    emit_steps();
    place_storages();
    finish_operands();
    find_barriers();
    collect_outputs();
    return std::move(plan_);
  }

 private:
  std::vector<Value>& values() { return builder_.values; }
  Value& value(int id) { return builder_.values[static_cast<size_t>(id)]; }
  Storage& storage(int id) { return storages_[static_cast<size_t>(id)]; }

  void mark_outputs() {
    for (size_t i = 0; i < graph_.items.size(); ++i)
      if (graph_.items[i].output && !graph_.items[i].leaf)
        value(value(builder_.value_of_item[i]).base).output = true;
  }

  // Values that no output needs lose their inputs, so they keep nothing alive.
  void drop_unneeded() {
    std::vector<bool> needed(values().size(), false);
    for (size_t i = 0; i < graph_.items.size(); ++i)
      if (graph_.items[i].output) needed[static_cast<size_t>(builder_.value_of_item[i])] = true;
    for (size_t i = values().size(); i-- > 0;) {
      if (!needed[i]) continue;
      needed[static_cast<size_t>(values()[i].base)] = true;
      for (int x : values()[i].in) needed[static_cast<size_t>(x)] = true;
    }
    needed_ = std::move(needed);
    for (size_t i = 0; i < values().size(); ++i)
      if (!needed_[i]) values()[i].in.clear();
  }

  void emit_steps() {
    storages_.resize(values().size());
    for (int id = 0; id < static_cast<int>(needed_.size()); ++id) {
      if (!needed_[static_cast<size_t>(id)]) continue;
      Value& v = value(id);
      if (v.kind == Value::Kind::kernel)
        emit_kernel(id);
      else if (v.kind == Value::Kind::elementwise && v.roots == std::vector<int>{id})
        emit_chain(id);
    }
    // A step that updates memory in place needs to be the last to read it; known only now.
    for (size_t s = 0; s < reads_.size(); ++s)
      if (plan_->steps[s].kernel.updates_first) settle_update(static_cast<int>(s));
  }

  void emit_kernel(int id) {
    const Value& v = value(id);
    PlanStep s;
    s.kernel = *v.kernel;
    s.step.op = v.op;
    s.params_of = v.item;
    s.own_params = v.params;
    s.what = std::string(v.op->name);
    if (s.kernel.updates_first) {
      // A copy of the first input, which the update then owns; dropped again where not needed.
      int copied = private_copy(v.in[0]);
      value(id).in[0] = copied;
    }
    push_step(std::move(s), std::vector<int>(value(id).in), id);
  }

  int private_copy(int of) {
    Value c;
    c.kind = Value::Kind::elementwise;
    c.op = &ops::copy_op;
    c.in = {of};
    c.dtype = value(of).dtype;
    c.layout = {value(of).layout.shape, row_strides(value(of).layout.shape), 0};
    int id = static_cast<int>(values().size());
    c.base = id;
    c.roots = {id};
    values().push_back(std::move(c));
    storages_.emplace_back();
    emit_chain(id);
    return id;
  }

  void emit_chain(int id) {
    Chain chain = chain_of(values(), id);
    PlanStep s;
    s.kernel = backend_.fused;
    std::vector<Operand> in;
    for (int x : chain.inputs) in.push_back(repeated(operand_of(value(x)), value(id).layout.shape));
    s.program = backend_.compile(chain.ops, in);
    s.step.program = s.program.get();
    for (const auto& f : chain.ops) s.what += (s.what.empty() ? "" : "+") + std::string(f.op->name);
    double n = static_cast<double>(operand_of(value(id)).size());
    chain_cost_ = fused_ns * n * static_cast<double>(chain.ops.size());
    push_step(std::move(s), chain.inputs, id);
  }

  void push_step(PlanStep s, const std::vector<int>& in, int out) {
    int index = static_cast<int>(plan_->steps.size());
    for (int x : in) {
      Operand o = operand_of(value(x));
      s.step.in.push_back(s.step.program ? repeated(std::move(o), value(out).layout.shape)
                                         : std::move(o));
      Storage& read = storage(value(x).base);
      read.last = std::max(read.last, index);
    }
    s.step.out = operand_of(value(out));
    s.step.params = &s.own_params;
    double cost = s.step.program  ? chain_cost_
                  : s.kernel.cost ? s.kernel.cost(s.step)
                                  : static_cast<double>(s.step.out.size());
    s.serial = cost < serial_below_ns;
    plan_->cost += cost;
    Storage& made = storage(out);
    made.bytes = s.step.out.size() * s.step.out.dtype.size;
    made.first = index;
    made.last = std::max(made.last, index);
    made.outlives = value(out).output;
    plan_->steps.push_back(std::move(s));
    reads_.push_back(in);
    makes_.push_back(out);
    skipped_.push_back(false);
  }

  // Lets the update write where its source lies when nobody reads that afterwards.
  void settle_update(int s) {
    int out = makes_[static_cast<size_t>(s)];
    int copied = reads_[static_cast<size_t>(s)][0];
    int source = value(copied).in[0], base = value(source).base;
    int copy_step = storage(copied).first;
    const Value& b = value(base);
    const Value& v = value(source);
    bool whole = v.byte_offset == 0 && v.layout.offset == 0 && v.dtype == b.dtype &&
                 operand_of(v).contiguous && operand_of(v).size() == operand_of(b).size();
    PlanStep& step = plan_->steps[static_cast<size_t>(s)];
    bool free_leaf = b.kind == Value::Kind::leaf && b.donated && step.kernel.repeatable &&
                     step.kernel.repeatable(probe(step));
    bool own = (b.kind == Value::Kind::kernel || b.kind == Value::Kind::elementwise) && !b.output &&
               value(base).base == base;
    bool last_reader = true;
    for (size_t t = static_cast<size_t>(copy_step) + 1; t < reads_.size(); ++t)
      for (int x : reads_[t])
        if (value(x).base == base && static_cast<int>(t) != copy_step) last_reader = false;
    int owner = copied;
    if (whole && (free_leaf || own) && last_reader && lower_options().reuse_memory) {
      skipped_[static_cast<size_t>(copy_step)] = true;
      storage(copied).same_as = base;
      owner = base;
    } else {
      plan_->update_copy_bytes += static_cast<size_t>(storage(copied).bytes);
    }
    storage(out).same_as = copied;
    Storage& kept = storage(owner);
    kept.last = std::max(kept.last, storage(out).last);
    kept.outlives |= storage(out).outlives;
  }

  // The step as its kernel sees it before it runs. Steps move while the plan grows, so the pointer
  // to their parameters is set anew.
  static const Step& probe(PlanStep& s) {
    s.step.params = &s.own_params;
    return s.step;
  }

  int resolved(int id) {
    while (storage(id).same_as >= 0) id = storage(id).same_as;
    return id;
  }

  void place_storages() {
    for (size_t i = 0; i < storages_.size(); ++i) {
      int owner = resolved(static_cast<int>(i));
      if (owner == static_cast<int>(i)) continue;
      storage(owner).last = std::max(storage(owner).last, storages_[i].last);
      storage(owner).outlives |= storages_[i].outlives;
    }
    places_.resize(storages_.size());
    std::vector<Lifetime> lives;
    std::vector<int> owners;
    int steps = static_cast<int>(plan_->steps.size());
    for (size_t i = 0; i < storages_.size(); ++i) {
      const Value& v = values()[i];
      const Storage& st = storages_[i];
      if (v.kind == Value::Kind::leaf)
        places_[i] = {Place::Kind::leaf, v.index, 0};
      else if (v.kind == Value::Kind::constant)
        places_[i] = {Place::Kind::constant, v.index, 0};
      else if (st.first >= 0 && st.same_as < 0 && st.outlives) {
        places_[i] = {Place::Kind::buffer, static_cast<int>(plan_->buffer_bytes.size()), 0};
        plan_->buffer_bytes.push_back(static_cast<size_t>(st.bytes));
      } else if (st.first >= 0 && st.same_as < 0) {
        int last = lower_options().reuse_memory ? st.last : steps;
        lives.push_back({static_cast<size_t>(st.bytes), st.first, last, 0});
        owners.push_back(static_cast<int>(i));
      }
    }
    for (int s = 0; s < steps; ++s) {
      auto& step = plan_->steps[static_cast<size_t>(s)];
      if (!step.kernel.scratch) continue;
      lives.push_back({step.kernel.scratch(probe(step), thread_count()), s, s, 0});
      owners.push_back(-1 - s);
    }
    plan_->slab_bytes = place_in_slab(lives);
    for (size_t i = 0; i < lives.size(); ++i) {
      if (owners[i] >= 0)
        places_[static_cast<size_t>(owners[i])] = {Place::Kind::slab, 0, lives[i].at};
      else
        plan_->steps[static_cast<size_t>(-1 - owners[i])].scratch_at = lives[i].at;
      if (owners[i] < 0) scratch_bytes_.emplace_back(-1 - owners[i], lives[i].bytes);
    }
  }

  PlanOperand located(int id) {
    const Value& v = value(id);
    int owner = resolved(v.base);
    PlanOperand o;
    o.place = places_[static_cast<size_t>(owner)];
    o.bytes_in = v.byte_offset + v.layout.offset * v.dtype.size;
    return o;
  }

  void finish_operands() {
    std::vector<PlanStep> kept;
    for (size_t s = 0; s < plan_->steps.size(); ++s) {
      if (skipped_[s]) continue;
      PlanStep& step = plan_->steps[s];
      for (int x : reads_[s]) step.in.push_back(located(x));
      step.out = located(makes_[s]);
      kept.push_back(std::move(step));
    }
    plan_->steps = std::move(kept);
  }

  static Access access_of(const PlanOperand& o, const Operand& shape, bool write, bool serial) {
    if (shape.size() == 0) return {o.place, 0, 0, false, serial};
    int64_t low = 0, high = 0;
    for (size_t i = 0; i < shape.shape.size(); ++i) {
      int64_t reach = (shape.shape[i] - 1) * shape.strides[i];
      (reach < 0 ? low : high) += reach;
    }
    size_t start = o.place.offset + static_cast<size_t>(o.bytes_in);
    return {o.place, start + static_cast<size_t>(low * shape.dtype.size),
            start + static_cast<size_t>((high + 1) * shape.dtype.size), write, serial};
  }
  static bool clash(const Access& a, const Access& b) {
    if (!(a.write || b.write) || (a.serial && b.serial)) return false;
    if (a.place.kind != b.place.kind) return false;
    if (a.place.kind != Place::Kind::slab && a.place.index != b.place.index) return false;
    return a.from < b.to && b.from < a.to;
  }

  void find_barriers() {
    std::vector<Access> open;
    size_t original = 0;
    for (auto& s : plan_->steps) {
      while (skipped_[original]) ++original;
      std::vector<Access> mine;
      for (size_t i = 0; i < s.in.size(); ++i)
        mine.push_back(access_of(s.in[i], s.step.in[i], false, s.serial));
      mine.push_back(access_of(s.out, s.step.out, true, s.serial));
      for (const auto& [step, bytes] : scratch_bytes_)
        if (step == static_cast<int>(original)) {
          Access a{{Place::Kind::slab, 0, s.scratch_at},
                   s.scratch_at,
                   s.scratch_at + bytes,
                   true,
                   s.serial};
          mine.push_back(a);
        }
      bool wait = false;
      for (const auto& a : mine)
        for (const auto& b : open) wait |= clash(a, b);
      if (wait) {
        s.barrier_before = true;
        ++plan_->barriers;
        open.clear();
      }
      open.insert(open.end(), mine.begin(), mine.end());
      ++original;
    }
  }

  void collect_outputs() {
    for (size_t i = 0; i < graph_.items.size(); ++i) {
      if (!graph_.items[i].output || graph_.items[i].leaf) continue;
      const Value& v = value(builder_.value_of_item[i]);
      PlanOperand at = located(builder_.value_of_item[i]);
      PlanOutput out{static_cast<int>(i), at.place, at.bytes_in, {}};
      if (!is_row_contiguous(v.layout.shape, v.layout.strides)) out.strides = v.layout.strides;
      plan_->outputs.push_back(std::move(out));
    }
  }

  const GraphView& graph_;
  const Backend& backend_;
  std::unique_ptr<Plan> plan_;
  ValueBuilder builder_;
  std::vector<bool> needed_{};
  std::vector<Storage> storages_{};
  std::vector<Place> places_{};
  std::vector<std::vector<int>> reads_{};
  std::vector<int> makes_{};
  std::vector<bool> skipped_{};
  std::vector<std::pair<int, size_t>> scratch_bytes_{};
  double chain_cost_ = 0;
};

}  // namespace

LowerOptions& lower_options() {
  static LowerOptions options;
  return options;
}

std::unique_ptr<Plan> lower(const GraphView& graph, const Backend& backend) {
  return Planner(graph, backend).plan();
}

}  // namespace tarn
