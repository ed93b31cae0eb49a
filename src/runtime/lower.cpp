#include "runtime/lower.h"

#include <algorithm>
#include <climits>
#include <unordered_map>

#include "base/require.h"
#include "base/thread_pool.h"
#include "ops/communications.h"
#include "ops/kinds.h"
#include "runtime/fuse.h"
#include "runtime/join_steps.h"
#include "runtime/schedule.h"
#include "runtime/slab.h"
#include "runtime/values.h"

namespace tarn {
namespace {

// Below this one worker does a step alone that must be done once.
constexpr double one_below_ns = 1500;
// A fused instruction on one element, roughly.
constexpr double fused_ns = 0.4;

struct Storage {
  int64_t bytes = 0;
  int made = -1, last_read = -1;  // steps, in the order of emission
  bool outlives = false;
  int same_as = -1;         // the value whose memory this one takes over
  bool taken_over = false;  // some value is same_as this
  // Filled in once the steps are in order.
  bool own = false;  // each worker has its own
  int first = INT_MAX, last = -1;
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
  Planner(const GraphView& graph, const Backend& cpu, const Backend* device)
      : graph_(graph),
        cpu_(cpu),
        device_(device),
        plan_(std::make_unique<Plan>()),
        builder_(graph, cpu, device, *plan_) {}

  std::unique_ptr<Plan> plan() {
    builder_.build();
    mark_outputs();
    drop_unneeded();
    if (device_ && device_->fold) {
      device_->fold(values());
      drop_unneeded();
    }
    choose_steps(values(), lower_options().fuse);
    emit_steps();
    choose_workers();
    order_steps();
    place_storages();
    finish_steps();
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
    s.op = v.op;
    s.params_of = v.item, s.own_params = v.params;
    s.what = std::string(v.op->name);
    s.on_device = on_device(v.backend), s.item_numbers = v.item_numbers;
    if (s.kernel.updates_first) {
      // A copy of the first input, which the update then owns; dropped again where not needed.
      int copied = private_copy(v.in[0], v.backend);
      value(id).in[0] = copied;
    }
    push_step(std::move(s), std::vector<int>(value(id).in), id);
  }

  int private_copy(int of, const Backend* backend) {
    Value c;
    c.kind = Value::Kind::elementwise;
    c.op = &ops::copy_op;
    c.backend = backend;
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
    std::vector<Operand> in;
    for (int x : chain.inputs) in.push_back(repeated(operand_of(value(x)), value(id).layout.shape));
    const Backend* backend = value(id).backend;
    s.program = backend->compile(chain.ops, in);
    if (!s.program) backend = &cpu_, s.program = cpu_.compile(chain.ops, in);
    s.kernel = backend->fused;
    s.on_device = on_device(backend);
    for (const auto& f : chain.ops) s.what += (s.what.empty() ? "" : "+") + std::string(f.op->name);
    double n = static_cast<double>(operand_of(value(id)).size());
    s.stored = value(id).stored, s.reader = value(id).reader;
    chain_cost_ = fused_ns * n * static_cast<double>(chain.ops.size());
    push_step(std::move(s), chain.inputs, id);
  }

  bool on_device(const Backend* backend) {
    if (!device_ || backend != device_) return false;
    plan_->device = device_;
    return true;
  }

  void push_step(PlanStep s, const std::vector<int>& in, int out) {
    int index = static_cast<int>(plan_->steps.size());
    for (int x : in) {
      Operand o = operand_of(value(x));
      s.shapes.push_back(s.program ? repeated(std::move(o), value(out).layout.shape)
                                   : std::move(o));
      storage(value(x).base).last_read = index;
    }
    s.shapes.push_back(operand_of(value(out)));
    Storage& made = storage(out);
    made.bytes = s.out().size() * s.out().dtype.size;
    made.made = index;
    made.outlives = value(out).output;
    plan_->steps.push_back(std::move(s));
    reads_.push_back(in);
    makes_.push_back(out);
    skipped_.push_back(false);
    double cost = cost_of(plan_->steps.back());
    costs_.push_back(cost);
    plan_->cost += cost;
  }

  double cost_of(PlanStep& s) {
    if (s.program) return chain_cost_;
    return s.kernel.cost ? s.kernel.cost(probe(s)) : static_cast<double>(s.out().size());
  }

  // Lets the update write where its source lies when nobody reads that afterwards.
  void settle_update(int s) {
    int out = makes_[static_cast<size_t>(s)];
    int copied = reads_[static_cast<size_t>(s)][0];
    int source = value(copied).in[0], base = value(source).base;
    int copy_step = storage(copied).made;
    const Value& b = value(base);
    const Value& v = value(source);
    bool whole = v.byte_offset == 0 && v.layout.offset == 0 && v.dtype == b.dtype &&
                 operand_of(v).contiguous && operand_of(v).size() == operand_of(b).size();
    PlanStep& step = plan_->steps[static_cast<size_t>(s)];
    bool free_leaf = b.kind == Value::Kind::leaf && b.donated && step.kernel.repeatable &&
                     step.kernel.repeatable(probe(step));
    bool own = (b.kind == Value::Kind::kernel || b.kind == Value::Kind::elementwise) && !b.output &&
               value(base).base == base;
    bool last_reader = storage(base).last_read <= copy_step;
    int owner = copied;
    if (whole && (free_leaf || own) && last_reader && lower_options().reuse_memory) {
      skipped_[static_cast<size_t>(copy_step)] = true;
      take_over(copied, base);
      owner = base;
    } else {
      plan_->update_copy_bytes += static_cast<size_t>(storage(copied).bytes);
    }
    take_over(out, copied);
    storage(resolved(owner)).outlives |= storage(out).outlives;
  }
  void take_over(int id, int from) {
    storage(id).same_as = from;
    storage(from).taken_over = true;
  }

  // The step as its kernel sees it before it runs; lasts until the next call.
  const Step& probe(PlanStep& s) {
    probed_.op = s.op;
    probed_.params = &s.own_params;
    probed_.in = {s.shapes.data(), s.shapes.size() - 1};
    probed_.out = s.out();
    return probed_;
  }

  int resolved(int id) {
    while (storage(id).same_as >= 0) id = storage(id).same_as;
    return id;
  }

  void choose_workers() {
    for (size_t s = 0; s < plan_->steps.size(); ++s) {
      if (skipped_[s]) continue;
      PlanStep& step = plan_->steps[s];
      Storage& made = storage(makes_[s]);
      if (plan_->device || ops::communicates(step.op)) {
        // A stage's steps on the device do not depend on each other, so that some can be joined.
        bool by_all = step.on_device || costs_[s] >= one_below_ns;
        step.who = by_all && !ops::communicates(step.op) ? Who::all : Who::one;
        continue;
      }
      bool private_result = !made.outlives && made.same_as < 0 && !made.taken_over;
      if (private_result && costs_[s] < lower_options().each_below_ns)
        step.who = Who::each;
      else if (costs_[s] < one_below_ns)
        step.who = Who::one;
      made.own = step.who == Who::each;
      plan_->shared |= step.who == Who::all;
    }
    plan_->shared &= plan_->cost >= lower_options().share_from_ns;
  }

  // Puts the steps that are not skipped into their order, with what goes along with them.
  void order_steps() {
    std::vector<size_t> kept;
    std::vector<StepUse> uses;
    for (size_t s = 0; s < plan_->steps.size(); ++s) {
      if (skipped_[s]) continue;
      const PlanStep& step = plan_->steps[s];
      StepUse use{step.who, {}, resolved(makes_[s]), ops::communicates(step.op)};
      for (int x : reads_[s]) use.reads.push_back(resolved(value(x).base));
      kept.push_back(s), uses.push_back(std::move(use));
    }
    Schedule order = schedule(uses);
    if (plan_->device) join_steps(*plan_, reads_, kept, order);
    std::vector<PlanStep> steps;
    std::vector<std::vector<int>> reads;
    std::vector<int> makes;
    for (size_t at : order.order) {
      size_t s = kept[at];
      steps.push_back(std::move(plan_->steps[s]));
      reads.push_back(std::move(reads_[s]));
      makes.push_back(makes_[s]);
    }
    plan_->steps = std::move(steps), reads_ = std::move(reads), makes_ = std::move(makes);
    plan_->stage_begins = std::move(order.begins);
    for (size_t stage = 0; stage < plan_->stages(); ++stage)
      for (size_t s = plan_->stage_begins[stage]; s < plan_->stage_begins[stage + 1]; ++s) {
        for (int x : reads_[s]) touch(resolved(value(x).base), s, stage);
        touch(resolved(makes_[s]), s, stage);
      }
  }

  // When step s uses memory. Workers are at different steps of a stage, so what several of them
  // use is in use for the whole stage; what one worker uses, for the step.
  std::pair<int, int> time_of(size_t s, size_t stage, bool one_worker) const {
    if (one_worker) return {static_cast<int>(s), static_cast<int>(s)};
    return {static_cast<int>(plan_->stage_begins[stage]),
            static_cast<int>(plan_->stage_begins[stage + 1]) - 1};
  }
  void touch(int owner, size_t s, size_t stage) {
    Storage& st = storage(owner);
    auto [first, last] = time_of(s, stage, st.own || plan_->steps[s].who == Who::one);
    st.first = std::min(st.first, first), st.last = std::max(st.last, last);
  }

  void place_storages() {
    places_.resize(storages_.size());
    // Values (from 0) and scratch of steps (from ~0 down), shared and each worker's own.
    std::vector<Lifetime> lives[2];
    std::vector<int> owners[2];
    int end = static_cast<int>(plan_->steps.size());
    auto live = [&](bool own, int owner, size_t bytes, std::pair<int, int> time) {
      int last = lower_options().reuse_memory ? time.second : end;
      lives[own].push_back({bytes, time.first, last, 0});
      owners[own].push_back(owner);
    };
    for (size_t i = 0; i < storages_.size(); ++i) {
      const Value& v = values()[i];
      const Storage& st = storages_[i];
      auto bytes = static_cast<size_t>(st.bytes);
      if (v.kind == Value::Kind::leaf)
        places_[i] = {Place::Kind::leaf, v.index, 0};
      else if (v.kind == Value::Kind::constant)
        places_[i] = {Place::Kind::constant, v.index, 0};
      else if (st.last < 0 || st.same_as >= 0)
        continue;
      else if (st.outlives) {
        places_[i] = {Place::Kind::buffer, static_cast<int>(plan_->buffer_bytes.size()), 0};
        plan_->buffer_bytes.push_back(bytes);
      } else {
        live(st.own, static_cast<int>(i), bytes, {st.first, st.last});
      }
    }
    for (size_t stage = 0; stage < plan_->stages(); ++stage)
      for (size_t s = plan_->stage_begins[stage]; s < plan_->stage_begins[stage + 1]; ++s) {
        PlanStep& step = plan_->steps[s];
        if (!step.kernel.scratch) continue;
        int workers = step.who == Who::all ? thread_count() : 1;
        size_t bytes = step.kernel.scratch(probe(step), workers);
        auto time = time_of(s, stage, step.who != Who::all);
        if (bytes > 0) live(step.who == Who::each, ~static_cast<int>(s), bytes, time);
      }
    plan_->slab_bytes = place_in_slab(lives[false]);
    plan_->own_bytes = place_in_slab(lives[true]);
    for (bool own : {false, true})
      for (size_t i = 0; i < lives[own].size(); ++i) {
        Place at{own ? Place::Kind::own : Place::Kind::slab, 0, lives[own][i].at};
        int owner = owners[own][i];
        if (owner >= 0)
          places_[static_cast<size_t>(owner)] = at;
        else
          plan_->steps[static_cast<size_t>(~owner)].scratch = at;
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

  void finish_steps() {
    for (size_t s = 0; s < plan_->steps.size(); ++s) {
      PlanStep& step = plan_->steps[s];
      for (int x : reads_[s]) step.at.push_back(located(x));
      step.at.push_back(located(makes_[s]));
      if (!plan_->device) continue;
      step.numbers_at = plan_->numbers, plan_->numbers += step.numbers();
      for (int x : reads_[s]) step.memories.push_back(memory_of(resolved(value(x).base)));
      step.memories.push_back(memory_of(resolved(makes_[s])));
    }
  }
  int memory_of(int owner) {
    auto [it, fresh] = memories_.emplace(owner, static_cast<int>(plan_->memories.size()));
    if (fresh)
      plan_->memories.push_back(
          {places_[static_cast<size_t>(owner)], static_cast<size_t>(storage(owner).bytes)});
    return it->second;
  }

  void collect_outputs() {
    for (size_t i = 0; i < graph_.items.size(); ++i) {
      if (!graph_.items[i].output || graph_.items[i].leaf) continue;
      const Value& v = value(builder_.value_of_item[i]);
      PlanOperand at = located(builder_.value_of_item[i]);
      PlanOutput out{static_cast<int>(i), at.place, at.bytes_in, {}};
      const Node& n = *graph_.items[i].node;
      if (n.size() != 0 && v.layout.strides != row_strides(n.shape)) out.strides = v.layout.strides;
      plan_->outputs.push_back(std::move(out));
    }
  }

  const GraphView& graph_;
  const Backend& cpu_;
  const Backend* device_;
  std::unique_ptr<Plan> plan_;
  ValueBuilder builder_;
  std::vector<bool> needed_{};
  std::vector<Storage> storages_{};
  std::vector<Place> places_{};
  std::vector<std::vector<int>> reads_{};
  std::vector<int> makes_{};
  std::vector<bool> skipped_{};
  std::unordered_map<int, int> memories_{};  // of the plan, by owner
  std::vector<double> costs_{};
  double chain_cost_ = 0;
  Step probed_{};
};

}  // namespace

LowerOptions& lower_options() {
  static LowerOptions options;
  return options;
}

std::unique_ptr<Plan> lower(const GraphView& graph, const Backend& cpu, const Backend* device) {
  return Planner(graph, cpu, device).plan();
}

}  // namespace tarn
