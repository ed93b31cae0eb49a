#include "runtime/turns.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/residency.h"
#include "graph/node.h"
#include "runtime/device_run.h"
#include "runtime/eval.h"
#include "runtime/graph_view.h"
#include "runtime/plan_cache.h"
#include "runtime/rehearsal.h"
#include "tarn/error.h"
#include "tarn/stop.h"

namespace tarn {
namespace {

using Numbers = std::vector<int64_t>;
constexpr int nowhere = -1;

Numbers difference(const Numbers& now, const Numbers& before) {
  Numbers d = now;
  for (size_t i = 0; i < d.size(); ++i) d[i] -= before[i];
  return d;
}

// --- whether a plan can run again in the memory of its last results

// Memories are numbered as in PlanStep::memories; -1 for one that no step uses.
int memory_of(const Plan& plan, Place::Kind kind, int index) {
  for (size_t m = 0; m < plan.memories.size(); ++m)
    if (plan.memories[m].place.kind == kind && plan.memories[m].place.index == index)
      return static_cast<int>(m);
  return nowhere;
}
bool writes(const PlanStep& s, int memory) {
  bool does = s.memories.back() == memory;
  for (size_t i = 0; i + 1 < s.memories.size() && s.kernel.writes >> i; ++i)
    does |= (s.kernel.writes >> i & 1) && s.memories[i] == memory;
  return does;
}
// Whether all launches that read memory `old` are in front of those that write `fresh`. Joined
// steps are one launch, in which nothing is in front of anything.
bool read_before_written(const Plan& plan, int old, int fresh) {
  bool written = false;
  for (const PlanStep& s : plan.steps) {
    if (writes(s, fresh) && (s.joined > 0 || s.follows)) return false;
    written |= writes(s, fresh);
    auto end = s.memories.end() - 1;
    if (written && std::find(s.memories.begin(), end, old) != end) return false;
  }
  return true;
}
bool lies_alike(const Node& a, const Node& b) {
  return a.shape == b.shape && a.dtype == b.dtype && a.contiguous && b.contiguous;
}
// Its launches depend on nothing but addresses and numbers.
bool only_numbers_change(const Plan& plan) {
  return std::all_of(plan.steps.begin(), plan.steps.end(), [](const PlanStep& s) {
    return s.on_device && (s.params_of < 0 || s.kernel.number);
  });
}

}  // namespace

// One turn as an evaluation saw it.
struct Turns::Seen {
  Hash key{};
  const Plan* plan = nullptr;
  std::vector<int> from{};       // by item: where the state had it, if it was taken over
  std::vector<Maybe> others{};   // by item: other leaves
  std::vector<int> output_of{};  // by result: in Plan::outputs
  Numbers numbers{}, grown{};
};

// --- a plan that is kept, bound to the state

class Turns::Kept {
 public:
  Kept(std::unique_ptr<Plan> plan, Seen& seen, const GraphView& view,
       const std::vector<array>& state)
      : key_(seen.key),
        plan_(std::move(plan)),
        others_(std::move(seen.others)),
        numbers_(std::move(seen.numbers)),
        grown_(std::move(seen.grown)) {
    bind(seen, view, state);
    run_.emplace(*plan_, plan_->bindings);
    run_->record_all();
    run_->read_params();
    plan_->memory.clear();  // the state's nodes hold it
  }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;
  ~Kept() {
    run_.reset();
    plan_->memory.clear();
    plan_cache().give_back(key_, std::move(plan_));
  }

  void run(const std::stop_token& stop) {
    for (size_t i = 0; i < numbers_.size(); ++i) numbers_[i] += grown_[i];
    if (!bound_ || !run_->run_again(numbers_, stop)) run_->run(numbers_, stop);
    bound_ = true;
    count_run(*plan_);
    count_followed_turn();
  }

 private:
  void bind(const Seen& seen, const GraphView& view, const std::vector<array>& state) {
    PlanBindings& b = plan_->bindings;
    params_.resize(view.items.size());
    for (size_t i = 0; i < view.items.size(); ++i) {
      const Node& n = *view.items[i].node;
      if (n.params.has_runtime()) params_[i] = n.params;
      b.params[i] = &params_[i];
      if (seen.from[i] == nowhere) continue;
      const Node& now = *state[static_cast<size_t>(seen.from[i])].node();
      b.leaves[i] = now.data, b.owners[i] = now.buffer.get();
    }
    plan_->memory.resize(plan_->buffer_bytes.size());
    for (size_t r = 0; r < state.size(); ++r) {
      const PlanOutput& out = plan_->outputs[static_cast<size_t>(seen.output_of[r])];
      if (out.place.kind == Place::Kind::buffer)
        plan_->memory[static_cast<size_t>(out.place.index)] = state[r].node()->buffer;
    }
  }

  Hash key_;
  std::unique_ptr<Plan> plan_;
  std::vector<Maybe> others_;  // the plan reads them
  std::vector<Params> params_{};
  Numbers numbers_, grown_;
  std::optional<DeviceRun> run_{};
  bool bound_ = false;  // the steps' addresses are those of the state
};

// --- looking at turns

class Turns::Watch final : public PlanKeeper {
 public:
  Watch(Turns& turns, const std::vector<array>& results)
      : turns_(turns), results_(results), last_(std::move(turns.last_)) {
    // The nodes live on as the graph's inputs, where they are taken over, and may be written to.
    for (const array& a : turns.state_) before_.push_back(a.node());
    turns.state_.clear();
  }

  void ran(const Hash& key, std::unique_ptr<Plan>& plan, const GraphView& view) override {
    if (!plan->device) return;
    auto now = std::make_unique<Seen>(look(*plan, view));
    now->key = key;
    bool again =
        last_ && last_->key == key && last_->plan == plan.get() && is_like_last(*now, view);
    if (again) now->grown = difference(now->numbers, last_->numbers);
    if (again && now->grown == last_->grown && now->from == last_->from &&
        only_numbers_change(*plan) && find_outputs(*plan, view, *now))
      keep(std::move(plan), *now, view);
    else
      turns_.last_ = std::move(now);
  }

 private:
  void keep(std::unique_ptr<Plan> plan, Seen& now, const GraphView& view) try {
    turns_.kept_ = std::make_unique<Kept>(std::move(plan), now, view, results_);
  } catch (const DeviceError&) {  // no room for a slab that stays: turns go on being recorded
  }
  Seen look(const Plan& plan, const GraphView& view) const {
    Seen now;
    now.plan = &plan;
    now.numbers = plan.replay.of_params;
    now.numbers.resize(plan.numbers);
    for (const GraphItem& item : view.items) {
      auto taken = item.leaf ? std::find(before_.begin(), before_.end(), item.node) : before_.end();
      bool is_taken = taken != before_.end();
      now.from.push_back(is_taken ? static_cast<int>(taken - before_.begin()) : nowhere);
      now.others.emplace_back();
      // What may be written to is held by nobody.
      if (!item.leaf || is_taken || item.donated) continue;
      retain(item.node);
      now.others.back() = array(item.node);
    }
    return now;
  }
  // Whether it read what the last one left, which nobody else has, and else the same as that one.
  bool is_like_last(const Seen& now, const GraphView& view) const {
    for (size_t i = 0; i < view.items.size(); ++i) {
      const GraphItem& item = view.items[i];
      if (!item.leaf) continue;
      if (now.from[i] != nowhere ? !item.donated
                                 : !last_->others[i] || !is_same(*item.node, *last_->others[i]))
        return false;
    }
    return true;
  }
  static bool is_same(const Node& a, const array& other) {
    const Node& b = *other.node();
    bool numbers = !a.buffer && !b.buffer && a.dtype == b.dtype;
    return &a == &b || (numbers && std::memcmp(a.number, b.number, sizeof a.number) == 0);
  }
  // Which output each result is. False: one of them cannot be written where the last one's is.
  bool find_outputs(const Plan& plan, const GraphView& view, Seen& now) const {
    if (plan.outputs.size() != results_.size()) return false;
    std::vector<bool> used(plan.buffer_bytes.size());
    for (size_t r = 0; r < results_.size(); ++r) {
      auto out = std::find_if(plan.outputs.begin(), plan.outputs.end(), [&](const PlanOutput& o) {
        return view.items[static_cast<size_t>(o.item)].node == results_[r].node();
      });
      if (out == plan.outputs.end() || out->bytes_in != 0 || !out->strides.empty()) return false;
      auto taken = std::find(now.from.begin(), now.from.end(), static_cast<int>(r));
      bool is_taken = taken != now.from.end();
      auto leaf = static_cast<int>(taken - now.from.begin());
      if (is_taken && !lies_alike(*view.items[static_cast<size_t>(leaf)].node, *results_[r].node()))
        return false;
      if (out->place.kind == Place::Kind::buffer) {
        if (used[static_cast<size_t>(out->place.index)]) return false;
        used[static_cast<size_t>(out->place.index)] = true;
        if (is_taken && !read_before_written(plan, memory_of(plan, Place::Kind::leaf, leaf),
                                             memory_of(plan, out->place.kind, out->place.index)))
          return false;
      } else if (out->place.kind != Place::Kind::leaf || !is_taken || out->place.index != leaf) {
        return false;
      }
      now.output_of.push_back(static_cast<int>(out - plan.outputs.begin()));
    }
    return true;
  }

  Turns& turns_;
  const std::vector<array>& results_;
  std::unique_ptr<Seen> last_;
  std::vector<const Node*> before_{};
};

// --- the loop

namespace {

// `state`, the loop's owner and the one who asks.
constexpr uint32_t holders = 3;

bool is_alone(const array& a) {
  const Node& n = *a.node();
  return n.refs.load(std::memory_order_acquire) == holders && n.buffer.unique() &&
         is_on(*n.buffer.get(), Side::device);
}

}  // namespace

Turns::Turns() = default;
Turns::~Turns() = default;
void Turns::forget() {
  kept_ = nullptr, last_ = nullptr;
  state_.clear();
}

void Turns::evaluate(const std::vector<array>& results) {
  kept_ = nullptr;
  Watch watch(*this, results);
  evaluate_ahead(results, &watch);
  state_ = results;
}

bool Turns::follow(const std::vector<array>& state) {
  if (!kept_) return false;
  bool can = !keeps_history() && !MemoryRehearsal::Impl::current() && !async_work_goes_first() &&
             state.size() == state_.size();
  for (size_t i = 0; can && i < state.size(); ++i)
    can = state[i].node() == state_[i].node() && is_alone(state[i]);
  if (!can) {
    forget();
    return false;
  }
  try {
    AheadScope ahead;
    kept_->run(StopScope::current());
  } catch (...) {
    forget();
    throw;
  }
  for (const array& a : state) written_on(*a.node()->buffer.get(), Side::device);
  return true;
}

}  // namespace tarn
