#include "runtime/eval.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <list>
#include <mutex>
#include <unordered_map>

#include "base/require.h"
#include "graph/node.h"
#include "runtime/graph_view.h"
#include "runtime/lower.h"
#include "runtime/plan.h"

namespace tarn {

// One running eval. Others that meet its nodes wait for it and look again.
struct Evaluation {
  std::mutex mutex{};
  std::condition_variable changed{};
  bool done = false;

  void wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done; });
  }
  void finish() {
    {
      std::lock_guard lock(mutex);
      done = true;
    }
    changed.notify_all();
  }
};

namespace {

thread_local std::stop_token current_stop;
thread_local int tracing_depth = 0;

struct {
  std::atomic<uint64_t> plans_made{0}, plans_run{0}, bytes_copied{0};
} counters;
void count_run(const Plan& plan) {
  counters.plans_run.fetch_add(1, std::memory_order_relaxed);
  counters.bytes_copied.fetch_add(plan.update_copy_bytes, std::memory_order_relaxed);
}

// Plans by structure. A plan that is running is taken out, so that two threads never share one.
class PlanCache {
 public:
  std::unique_ptr<Plan> take(const Hash& key) {
    std::lock_guard lock(mutex_);
    auto it = by_key_.find(key);
    if (it == by_key_.end() || it->second->plans.empty()) return nullptr;
    entries_.splice(entries_.begin(), entries_, it->second);
    auto plan = std::move(it->second->plans.back());
    it->second->plans.pop_back();
    return plan;
  }
  void give_back(const Hash& key, std::unique_ptr<Plan> plan) {
    std::lock_guard lock(mutex_);
    auto [it, added] = by_key_.try_emplace(key);
    if (added) {
      entries_.push_front({key, {}});
      it->second = entries_.begin();
    }
    it->second->plans.push_back(std::move(plan));
    if (entries_.size() > most) {
      by_key_.erase(entries_.back().key);
      entries_.pop_back();
    }
  }
  void clear() {
    std::lock_guard lock(mutex_);
    by_key_.clear();
    entries_.clear();
  }

 private:
  static constexpr size_t most = 512;
  struct Entry {
    Hash key;
    std::vector<std::unique_ptr<Plan>> plans;
  };
  std::mutex mutex_;
  std::list<Entry> entries_;
  std::unordered_map<Hash, std::list<Entry>::iterator, HashOfHash> by_key_;
};

PlanCache& plan_cache() {
  static auto* const cache = new PlanCache;
  return *cache;
}

// Collects, under graph_mutex(), what has to be computed for `roots`.
class Walk {
 public:
  explicit Walk(const std::vector<array>& roots) : roots_(roots) {}

  // Null when the graph could be claimed; otherwise the evaluation to wait for.
  std::shared_ptr<Evaluation> collect(GraphView& view) {
    items_ = &view.items;
    for (const auto& root : roots_) visit(root.node());
    if (!blocked_ && !placeholder_) describe(view);
    for (auto& item : view.items) item.node->mark = -1;
    require<ValueError>(!placeholder_,
                        "[eval] an array stands for an argument of a function that is being "
                        "transformed, so it has no value yet. Compute with it instead of looking "
                        "at it.");
    return blocked_;
  }

 private:
  struct Frame {
    Node* node;
    size_t next;
  };

  bool seen(Node* n) {
    if (n->mark >= 0) return true;
    switch (n->state.load(std::memory_order_acquire)) {
      case State::ready:
        add(n, true);
        return true;
      case State::claimed:
        blocked_ = n->evaluation;
        return true;
      case State::placeholder:
        placeholder_ = true;
        return true;
      case State::recorded:
        return false;
    }
    return true;
  }
  int add(Node* n, bool leaf) {
    n->mark = static_cast<int32_t>(items_->size());
    GraphItem item;
    item.node = n;
    item.leaf = leaf;
    items_->push_back(std::move(item));
    return n->mark;
  }
  void visit(Node* root) {
    if (seen(root)) return;
    stack_.push_back({root, 0});
    while (!stack_.empty() && !blocked_ && !placeholder_) {
      Frame& top = stack_.back();
      if (top.next < top.node->inputs.size()) {
        Node* in = top.node->inputs[top.next++].node();
        if (!seen(in)) stack_.push_back({in, 0});
        continue;
      }
      Node* n = top.node;
      stack_.pop_back();
      if (n->mark >= 0) continue;
      int id = add(n, false);
      auto& inputs = (*items_)[static_cast<size_t>(id)].in;
      inputs.reserve(n->inputs.size());
      for (const auto& x : n->inputs) {
        inputs.push_back(x.node()->mark);
        ++(*items_)[static_cast<size_t>(x.node()->mark)].uses;
      }
    }
  }

  void describe(GraphView& view) {
    for (const auto& r : roots_)
      if (r.node()->mark >= 0) view.items[static_cast<size_t>(r.node()->mark)].output = true;
    Hash& h = view.shape_of;
    for (auto& item : view.items) {
      const Node& n = *item.node;
      auto refs = n.refs.load(std::memory_order_acquire);
      bool held = refs > static_cast<uint32_t>(item.uses);
      if (item.leaf) {
        item.output = false;
        // A derivative will look at the history, and so at this value, again.
        bool last_use = !held && !keeps_history();
        item.donated = last_use && n.buffer && n.buffer.unique() && !n.buffer->release;
        h.add(1 + (item.donated ? 2 : 0) + (n.contiguous ? 4 : 0));
        if (!n.contiguous)
          for (auto s : n.strides) h.add(static_cast<uint64_t>(s));
      } else {
        item.output |= held;
        h.add(reinterpret_cast<uintptr_t>(n.op) + (item.output ? 1 : 0));
        n.params.hash(h);
        n.params.hash_runtime(view.values_of);
        for (int i : item.in) h.add(static_cast<uint64_t>(i));
      }
      h.add(static_cast<uint64_t>(n.dtype.val) * 64 + n.shape.size());
      for (auto d : n.shape) h.add(static_cast<uint64_t>(d));
    }
  }

  const std::vector<array>& roots_;
  std::vector<GraphItem>* items_ = nullptr;
  std::vector<Frame> stack_{};
  std::shared_ptr<Evaluation> blocked_{};
  bool placeholder_ = false;
};

void claim(GraphView& view, const std::shared_ptr<Evaluation>& evaluation) {
  for (auto& item : view.items) {
    if (item.leaf) continue;
    item.node->state.store(State::claimed, std::memory_order_release);
    item.node->evaluation = evaluation;
  }
}

void unclaim(GraphView& view) {
  for (auto& item : view.items) {
    if (item.leaf) continue;
    if (item.node->state == State::claimed) item.node->state.store(State::recorded);
    item.node->evaluation.reset();
  }
}

void let_go(GraphView& view, Evaluation& evaluation) {
  {
    std::lock_guard lock(graph_mutex());
    unclaim(view);
  }
  evaluation.finish();
}

struct Bound {
  PlanBindings bindings{};
  std::vector<BufferRef> buffers{};
};

Bound bind(const Plan& plan, const GraphView& view) {
  Bound b;
  for (size_t bytes : plan.buffer_bytes) {
    b.buffers.emplace_back(allocate_buffer(bytes));
    b.bindings.buffers.push_back(b.buffers.back()->data);
  }
  b.bindings.leaves.resize(view.items.size());
  b.bindings.params.resize(view.items.size());
  for (size_t i = 0; i < view.items.size(); ++i) {
    b.bindings.leaves[i] = view.items[i].leaf ? view.items[i].node->data : nullptr;
    b.bindings.params[i] = &view.items[i].node->params;
  }
  return b;
}

// A number inside a node has no buffer to share: its views get one.
BufferRef buffer_of_number(const Node& n) {
  BufferRef copy(allocate_buffer(sizeof n.number));
  std::copy(std::begin(n.number), std::end(n.number), static_cast<std::byte*>(copy->data));
  return copy;
}

// Makes the outputs ready and returns what they held on to, to be freed outside the lock.
std::vector<std::vector<array>> publish(const Plan& plan, GraphView& view, Bound& bound) {
  std::vector<std::vector<array>> trash;
  for (const auto& out : plan.outputs) {
    Node& n = *view.items[static_cast<size_t>(out.item)].node;
    auto i = static_cast<size_t>(out.place.index);
    std::byte* base = nullptr;
    switch (out.place.kind) {
      case Place::Kind::buffer:
        n.buffer = bound.buffers[i];
        break;
      case Place::Kind::leaf:
      case Place::Kind::constant:
      case Place::Kind::slab: {
        const Node& from =
            out.place.kind == Place::Kind::leaf ? *view.items[i].node : *plan.constants[i].node();
        n.buffer = from.buffer ? from.buffer : buffer_of_number(from);
        base = from.buffer ? static_cast<std::byte*>(from.data) : nullptr;
        break;
      }
    }
    if (!base) base = static_cast<std::byte*>(n.buffer->data);
    n.data = base + out.bytes_in;
    n.strides = out.strides;
    n.contiguous = out.strides.empty();
    n.state.store(State::ready, std::memory_order_release);
    n.evaluation.reset();
    if (!keeps_history()) {
      trash.push_back(std::move(n.inputs));
      n.inputs.clear();
    }
  }
  return trash;
}

Hash key_with_values(const GraphView& view) {
  Hash key = view.shape_of;
  key.add(view.values_of.a);
  key.add(view.values_of.b);
  return key;
}

struct PlanInUse {
  Hash key{};
  std::unique_ptr<Plan> plan{};
};

PlanInUse plan_for(const GraphView& view) {
  // A plan with baked run-time parameters is kept under the longer key; the shorter one then
  // leads nowhere, so the longer is asked first only when there are such parameters.
  Hash full = key_with_values(view);
  if (auto plan = plan_cache().take(view.shape_of)) return {view.shape_of, std::move(plan)};
  if (auto plan = plan_cache().take(full)) return {full, std::move(plan)};
  auto plan = lower(view, cpu_backend());
  counters.plans_made.fetch_add(1, std::memory_order_relaxed);
  Hash key = plan->baked ? full : view.shape_of;
  return {key, std::move(plan)};
}

void run_claimed(GraphView& view) {
  PlanInUse use = plan_for(view);
  Bound bound = bind(*use.plan, view);
  try {
    execute(*use.plan, bound.bindings, current_stop);
  } catch (...) {
    plan_cache().give_back(use.key, std::move(use.plan));
    throw;
  }
  count_run(*use.plan);
  std::vector<std::vector<array>> trash;
  {
    std::lock_guard lock(graph_mutex());
    trash = publish(*use.plan, view, bound);
    unclaim(view);
  }
  plan_cache().give_back(use.key, std::move(use.plan));
}

}  // namespace

EvalCounters eval_counters() {
  return {counters.plans_made, counters.plans_run, counters.bytes_copied};
}

StopScope::StopScope(std::stop_token token)
    : before_(std::exchange(current_stop, std::move(token))) {}
StopScope::~StopScope() { current_stop = std::move(before_); }
HistoryScope::HistoryScope() { ++tracing_depth; }
HistoryScope::~HistoryScope() { --tracing_depth; }
bool keeps_history() { return tracing_depth > 0; }
void clear_plan_cache() { plan_cache().clear(); }

std::unique_ptr<Plan> plan_of(const array& a) {
  GraphView view;
  auto mine = std::make_shared<Evaluation>();
  {
    std::lock_guard lock(graph_mutex());
    if (Walk({a}).collect(view)) return nullptr;
    // Another thread's evaluation would detach the nodes while they are looked at.
    claim(view, mine);
  }
  try {
    auto plan = lower(view, cpu_backend());
    let_go(view, *mine);
    return plan;
  } catch (...) {
    let_go(view, *mine);
    throw;
  }
}

void eval(std::vector<array> outputs) {
  for (;;) {
    GraphView view;
    std::shared_ptr<Evaluation> mine, other;
    {
      std::lock_guard lock(graph_mutex());
      other = Walk(outputs).collect(view);
      if (!other) {
        if (std::ranges::all_of(view.items, &GraphItem::leaf)) return;
        mine = std::make_shared<Evaluation>();
        claim(view, mine);
      }
    }
    if (other) {
      other->wait();
      continue;
    }
    try {
      run_claimed(view);
    } catch (...) {
      let_go(view, *mine);
      throw;
    }
    mine->finish();
    return;
  }
}

void array::eval() const {
  if (node_->state.load(std::memory_order_acquire) != State::ready)
    tarn::eval(std::vector<array>{*this});
}

}  // namespace tarn
