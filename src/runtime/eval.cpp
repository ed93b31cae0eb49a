#include "runtime/eval.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "base/require.h"
#include "graph/node.h"
#include "runtime/bind.h"
#include "runtime/lower.h"
#include "runtime/plan.h"
#include "runtime/plan_cache.h"
#include "runtime/rehearsal.h"

namespace tarn {

// One running eval. Others that meet its nodes wait for it and look again.
struct Evaluation : std::enable_shared_from_this<Evaluation> {
  std::mutex mutex{};
  std::condition_variable changed{};
  std::atomic<bool> done{false};

  void wait() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done.load(); });
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
  if (plan.update_copy_bytes > 0)
    counters.bytes_copied.fetch_add(plan.update_copy_bytes, std::memory_order_relaxed);
}

// A node that a walk is at, and the input that it visits next.
struct Frame {
  Node* node;
  size_t next;
};

// What an evaluation works with. Each thread keeps that of its last one, so that a loop over small
// graphs asks for no memory here; one that has seen a large graph is given back.
struct EvalRoom {
  GraphView view{};
  std::vector<Frame> stack{};
  std::vector<std::vector<array>> detached{};  // what the outputs held on to
  std::shared_ptr<Evaluation> evaluation = std::make_shared<Evaluation>();

  void clear() {
    detached.clear();
    view.items.clear();
    view.inputs.clear();
    view.shape_of = view.values_of = {};
    stack.clear();
  }
};
constexpr size_t kept_items = 1 << 14;

// Static objects may evaluate after their thread's room is gone.
thread_local bool room_is_gone = false;
struct KeptRoom {
  std::unique_ptr<EvalRoom> room{};
  ~KeptRoom() { room_is_gone = true; }
};
thread_local KeptRoom kept;

// The thread's room, or a new one inside of another evaluation.
class RoomInUse {
 public:
  RoomInUse() {
    if (!room_is_gone) room_ = std::move(kept.room);
    if (!room_) room_ = std::make_unique<EvalRoom>();
  }
  ~RoomInUse() {
    room_->clear();
    if (!room_is_gone && room_->view.items.capacity() <= kept_items) kept.room = std::move(room_);
  }
  RoomInUse(const RoomInUse&) = delete;
  RoomInUse& operator=(const RoomInUse&) = delete;
  EvalRoom& operator*() const { return *room_; }
  EvalRoom* operator->() const { return room_.get(); }
  // An evaluation that nobody waits for any more.
  Evaluation& fresh_evaluation() {
    auto& mine = room_->evaluation;
    if (mine.use_count() > 1) mine = std::make_shared<Evaluation>();
    mine->done.store(false, std::memory_order_relaxed);
    return *mine;
  }
  // Its nodes are unclaimed by now: whoever waits for it holds a reference.
  void finish_evaluation() {
    if (room_->evaluation.use_count() > 1) room_->evaluation->finish();
  }

 private:
  std::unique_ptr<EvalRoom> room_;
};

// Collects, under graph_mutex(), what has to be computed for `roots`.
class Walk {
 public:
  Walk(std::span<const array> roots, EvalRoom& room)
      : roots_(roots), view_(room.view), items_(room.view.items), stack_(room.stack) {}

  // Null when the graph could be claimed; otherwise the evaluation to wait for.
  std::shared_ptr<Evaluation> collect() {
    {
      Unmark unmark{view_};
      for (const auto& root : roots_) visit(root.node());
      if (!blocked_ && !placeholder_) describe();
    }
    require<ValueError>(!placeholder_,
                        "[eval] an array stands for an argument of a function that is being "
                        "transformed, so it has no value yet. Compute with it instead of looking "
                        "at it.");
    return blocked_;
  }

 private:
  // Also when there is no memory for the walk: the next one must not take its marks for its own.
  struct Unmark {
    GraphView& view;
    ~Unmark() {
      for (auto& item : view.items) item.node->mark = -1;
    }
  };

  bool seen(Node* n) {
    if (n->mark >= 0) return true;
    switch (n->state.load(std::memory_order_acquire)) {
      case State::ready:
        add(n, true);
        return true;
      case State::claimed:
        blocked_ = n->evaluation->shared_from_this();
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
    GraphItem item;
    item.node = n;
    item.leaf = leaf;
    items_.push_back(item);
    n->mark = static_cast<int32_t>(items_.size()) - 1;
    return n->mark;
  }
  void visit(Node* root) {
    if (seen(root)) return;
    stack_.push_back({root, 0});
    while (!stack_.empty() && !blocked_ && !placeholder_) {
      Frame& top = stack_.back();
      if (top.next == 0)
        for (const auto& x : top.node->inputs) prefetch(x.node());
      if (top.next < top.node->inputs.size()) {
        Node* in = top.node->inputs[top.next++].node();
        if (!seen(in)) stack_.push_back({in, 0});
        continue;
      }
      Node* n = top.node;
      stack_.pop_back();
      if (n->mark >= 0) continue;
      int id = add(n, false);
      GraphItem& item = items_[static_cast<size_t>(id)];
      item.first_in = static_cast<int>(view_.inputs.size());
      item.ins = static_cast<int>(n->inputs.size());
      for (const auto& x : n->inputs) {
        view_.inputs.push_back(x.node()->mark);
        ++items_[static_cast<size_t>(x.node()->mark)].uses;
      }
    }
  }

  void describe() {
    for (const auto& r : roots_)
      if (r.node()->mark >= 0) items_[static_cast<size_t>(r.node()->mark)].output = true;
    Hash& h = view_.shape_of;
    for (auto& item : items_) {
      const Node& n = *item.node;
      auto refs = n.refs.load(std::memory_order_acquire);
      bool held = refs > static_cast<uint32_t>(item.uses);
      if (item.leaf) {
        item.output = false;
        // A derivative will look at the history, and so at this value, again.
        bool last_use = !held && !keeps_history();
        item.donated = last_use && n.buffer && n.buffer.unique() && is_ours(*n.buffer.get());
        h.add(1 + (item.donated ? 2 : 0) + (n.contiguous ? 4 : 0));
        if (!n.contiguous)
          for (auto s : n.strides) h.add(static_cast<uint64_t>(s));
      } else {
        item.output |= held;
        h.add(reinterpret_cast<uintptr_t>(n.op) + (item.output ? 1 : 0) +
              (n.stream.device == Device::gpu ? 2 : 0));
        n.params.hash(h);
        n.params.hash_runtime(view_.values_of);
        for (int i : view_.in(item)) h.add(static_cast<uint64_t>(i));
      }
      h.add(static_cast<uint64_t>(n.dtype.val) * 64 + n.shape.size());
      for (auto d : n.shape) h.add(static_cast<uint64_t>(d));
    }
  }

  // Whether the memory may be written to: nobody handed it to us.
  bool is_ours(const Buffer& b) const {
    return !b.release || (rehearsal_ && MemoryRehearsal::Impl::owns(b));
  }

  std::span<const array> roots_;
  const MemoryRehearsal::Impl* rehearsal_ = MemoryRehearsal::Impl::current();
  GraphView& view_;
  std::vector<GraphItem>& items_;
  std::vector<Frame>& stack_;
  std::shared_ptr<Evaluation> blocked_{};
  bool placeholder_ = false;
};

void claim(GraphView& view, Evaluation* evaluation) {
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
    item.node->evaluation = nullptr;
  }
}

void let_go(GraphView& view, Evaluation& evaluation) {
  {
    std::lock_guard lock(graph_mutex());
    unclaim(view);
  }
  evaluation.finish();
}

// A number inside a node has no buffer to share: its views get one.
BufferRef buffer_of_number(const Node& n) {
  BufferRef copy(allocate_buffer(sizeof n.number));
  std::copy(std::begin(n.number), std::end(n.number), static_cast<std::byte*>(copy->data));
  return copy;
}

// Makes the outputs ready. What they held on to is detached, to be freed outside the lock.
void publish(const Plan& plan, GraphView& view, std::vector<std::vector<array>>& detached) {
  detached.reserve(plan.outputs.size());
  for (const auto& out : plan.outputs) {
    Node& n = *view.items[static_cast<size_t>(out.item)].node;
    auto i = static_cast<size_t>(out.place.index);
    std::byte* base = nullptr;
    switch (out.place.kind) {
      case Place::Kind::buffer:
        n.buffer = plan.memory[i];
        break;
      case Place::Kind::leaf:
      case Place::Kind::constant:
      case Place::Kind::slab:
      case Place::Kind::own: {
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
    n.contiguous = out.strides.empty() || is_row_contiguous(n.shape, out.strides);
    n.state.store(State::ready, std::memory_order_release);
    n.evaluation = nullptr;
    if (!keeps_history()) {
      detached.push_back(std::move(n.inputs));
      n.inputs.clear();
    }
  }
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
  auto plan = lower(view, cpu_backend(), gpu_backend());
  counters.plans_made.fetch_add(1, std::memory_order_relaxed);
  Hash key = plan->baked ? full : view.shape_of;
  return {key, std::move(plan)};
}

void execute_or_rehearse(PlanInUse& use) {
  if (auto* rehearsal = MemoryRehearsal::Impl::current()) {
    require<Cancelled>(!current_stop.stop_requested(), "[eval] stopped on request.");
    return rehearsal->run(use.key, *use.plan);
  }
  auto run = use.plan->device ? &execute_on_device : &execute;
  run(*use.plan, use.plan->bindings, current_stop);
  count_run(*use.plan);
}

void run_claimed(EvalRoom& room) {
  GraphView& view = room.view;
  PlanInUse use = plan_for(view);
  bind(*use.plan, view);
  try {
    execute_or_rehearse(use);
  } catch (...) {
    use.plan->memory.clear();
    plan_cache().give_back(use.key, std::move(use.plan));
    throw;
  }
  {
    std::lock_guard lock(graph_mutex());
    publish(*use.plan, view, room.detached);
    unclaim(view);
  }
  room.detached.clear();
  use.plan->memory.clear();
  plan_cache().give_back(use.key, std::move(use.plan));
}

}  // namespace

EvalCounters eval_counters() {
  return {counters.plans_made, counters.plans_run, counters.bytes_copied};
}

StopScope::StopScope(std::stop_token token)
    : before_(std::exchange(current_stop, std::move(token))) {}
StopScope::~StopScope() { current_stop = std::move(before_); }
std::stop_token StopScope::current() { return current_stop; }
HistoryScope::HistoryScope() { ++tracing_depth; }
HistoryScope::~HistoryScope() { --tracing_depth; }
bool keeps_history() { return tracing_depth > 0; }
void clear_plan_cache() { plan_cache().clear(); }

std::unique_ptr<Plan> plan_of(const array& a) {
  RoomInUse room;
  Evaluation& mine = room.fresh_evaluation();
  {
    std::lock_guard lock(graph_mutex());
    if (Walk({&a, 1}, *room).collect()) return nullptr;
    // Another thread's evaluation would detach the nodes while they are looked at.
    claim(room->view, &mine);
  }
  try {
    auto plan = lower(room->view, cpu_backend(), gpu_backend());
    let_go(room->view, mine);
    return plan;
  } catch (...) {
    let_go(room->view, mine);
    throw;
  }
}

namespace {

// True when all was computed; false when another evaluation had to be waited for.
bool try_to_evaluate(std::span<const array> outputs) {
  RoomInUse room;
  Evaluation& mine = room.fresh_evaluation();
  std::shared_ptr<Evaluation> other;
  {
    std::lock_guard lock(graph_mutex());
    other = Walk(outputs, *room).collect();
    if (!other) {
      if (std::ranges::all_of(room->view.items, &GraphItem::leaf)) return true;
      claim(room->view, &mine);
    }
  }
  if (other) {
    other->wait();
    return false;
  }
  try {
    run_claimed(*room);
  } catch (...) {
    let_go(room->view, mine);
    throw;
  }
  room.finish_evaluation();
  return true;
}

void evaluate(std::span<const array> outputs) {
  while (!try_to_evaluate(outputs)) {
  }
}

}  // namespace

void eval(std::vector<array> outputs) { evaluate(outputs); }

void array::eval() const {
  if (node_->state.load(std::memory_order_acquire) != State::ready) evaluate({this, 1});
}

}  // namespace tarn
