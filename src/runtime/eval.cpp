#include "runtime/eval.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "base/require.h"
#include "base/residency.h"
#include "graph/node.h"
#include "ops/communications.h"
#include "runtime/ahead.h"
#include "runtime/bind.h"
#include "runtime/lower.h"
#include "runtime/plan.h"
#include "runtime/plan_cache.h"
#include "runtime/rehearsal.h"
#include "runtime/walk.h"

namespace tarn {
namespace {

thread_local std::stop_token current_stop;
thread_local int tracing_depth = 0;
thread_local bool running_ahead = false;

struct {
  std::atomic<uint64_t> plans_made{0}, plans_run{0}, turns_followed{0}, bytes_copied{0};
} counters;
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
void publish(Plan& plan, GraphView& view, std::vector<Inputs>& detached) {
  detached.reserve(plan.outputs.size());
  for (const auto& out : plan.outputs) {
    Node& n = *view.items[static_cast<size_t>(out.item)].node;
    auto i = static_cast<size_t>(out.place.index);
    std::byte* base = nullptr;
    switch (out.place.kind) {
      case Place::Kind::buffer:
        // Outputs may lie in one buffer. To take a lone one's reference is cheaper than to count.
        n.buffer = plan.outputs.size() == 1 ? std::move(plan.memory[i]) : plan.memory[i];
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
  if (auto plan = plan_cache().take(view.shape_of)) return {view.shape_of, std::move(plan)};
  Hash full = key_with_values(view);
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

void run_claimed(EvalRoom& room, PlanKeeper* keeper) {
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
  use.plan->memory.clear();
  if (keeper && !MemoryRehearsal::Impl::current()) keeper->ran(use.key, use.plan, view);
  room.detached.clear();
  if (use.plan) plan_cache().give_back(use.key, std::move(use.plan));
}

}  // namespace

EvalCounters eval_counters() {
  return {counters.plans_made, counters.plans_run, counters.turns_followed, counters.bytes_copied};
}

void count_run(const Plan& plan) {
  counters.plans_run.fetch_add(1, std::memory_order_relaxed);
  if (plan.update_copy_bytes > 0)
    counters.bytes_copied.fetch_add(plan.update_copy_bytes, std::memory_order_relaxed);
}

void count_followed_turn() { counters.turns_followed.fetch_add(1, std::memory_order_relaxed); }

StopScope::StopScope(std::stop_token token)
    : before_(std::exchange(current_stop, std::move(token))) {}
StopScope::~StopScope() { current_stop = std::move(before_); }
std::stop_token StopScope::current() { return current_stop; }
HistoryScope::HistoryScope() { ++tracing_depth; }
HistoryScope::~HistoryScope() { --tracing_depth; }
bool keeps_history() { return tracing_depth > 0; }
bool runs_ahead() { return running_ahead; }
AheadScope::AheadScope() : before_(std::exchange(running_ahead, true)) {}
AheadScope::~AheadScope() { running_ahead = before_; }
void clear_plan_cache() { plan_cache().clear(); }

std::unique_ptr<Plan> plan_of(const array& a) {
  RoomInUse room;
  Evaluation& mine = room.fresh_evaluation();
  {
    std::lock_guard lock(graph_mutex());
    if (collect({&a, 1}, *room)) return nullptr;
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

bool communicates(const GraphView& view) {
  return std::ranges::any_of(
      view.items, [](const auto& i) { return !i.leaf && ops::communicates(i.node->op); });
}

// True when all was computed; false when another evaluation had to be waited for.
bool try_to_evaluate(std::span<const array> outputs, PlanKeeper* keeper) {
  RoomInUse room;
  Evaluation& mine = room.fresh_evaluation();
  std::shared_ptr<Evaluation> other;
  bool later = false;
  {
    std::lock_guard lock(graph_mutex());
    other = collect(outputs, *room);
    if (!other) {
      if (std::ranges::all_of(room->view.items, &GraphItem::leaf)) return true;
      later = async_work_goes_first() && communicates(room->view);
      if (!later) claim(room->view, &mine);
    }
  }
  if (later) {
    wait_for_async_work();
    return false;
  }
  if (other) {
    other->wait();
    return false;
  }
  try {
    run_claimed(*room, keeper);
  } catch (...) {
    let_go(room->view, mine);
    throw;
  }
  room.finish_evaluation();
  return true;
}

void evaluate(std::span<const array> outputs, PlanKeeper* keeper = nullptr) {
  while (!try_to_evaluate(outputs, keeper)) {
  }
}

}  // namespace

void eval(std::vector<array> outputs) { evaluate(outputs); }

void eval_ahead(const std::vector<array>& outputs) { evaluate_ahead(outputs, nullptr); }
void evaluate_ahead(const std::vector<array>& outputs, PlanKeeper* keeper) {
  AheadScope scope;
  evaluate(outputs, keeper);
}

ArrivingNumber::ArrivingNumber(const array& number) {
  require(number.size() == 1 && number.dtype() == uint32,
          "[ahead] one uint32 is needed, not {} of {}.", number.size(), name_of(number.dtype()));
  number.eval();
  const Node& n = *number.node();
  Buffer* b = n.buffer.get();
  if (!b || is_on(*b, Side::host)) {
    number_ = number.item<uint32_t>();
    return;
  }
  DeviceMemory& memory = *b->residency.load()->memory;
  auto in_buffer = static_cast<std::byte*>(n.data) - static_cast<std::byte*>(b->data);
  arrival_ = memory.send_to_host(device_bytes(*b, memory) + in_buffer, sizeof(uint32_t));
  count_transfer(Side::host, sizeof(uint32_t));
}
uint32_t ArrivingNumber::wait() {
  if (arrival_) std::memcpy(&number_, arrival_->wait(), sizeof number_);
  return number_;
}

void array::eval() const {
  if (node_->state.load(std::memory_order_acquire) != State::ready) evaluate({this, 1});
}

}  // namespace tarn
