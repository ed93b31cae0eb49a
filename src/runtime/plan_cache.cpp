#include "runtime/plan_cache.h"

#include <new>

namespace tarn {
namespace {

// A longer one takes longer than the locks that this saves. One that has constants of its own is
// not kept by threads that may be idle: clearing the cache gives their memory back.
bool is_short(const Plan& plan) {
  constexpr size_t most_steps = 8, most_bytes = 1024;
  if (plan.steps.size() > most_steps) return false;
  size_t bytes = 0;
  for (const auto& c : plan.constants) bytes += c.nbytes();
  return bytes <= most_bytes;
}

}  // namespace

struct PlanCache::KeptByThread {
  Hash key{};
  uint64_t cleared = 0;
  std::unique_ptr<Plan> plan{};
  bool gone = false;  // static objects may evaluate after the thread's own are destroyed

  ~KeptByThread() {
    gone = true;
    if (plan && cleared == plan_cache().cleared_) plan_cache().put(key, std::move(plan));
  }
};
thread_local PlanCache::KeptByThread PlanCache::kept_;

std::unique_ptr<Plan> PlanCache::take(const Hash& key) {
  KeptByThread& mine = kept_;
  if (mine.plan && mine.key == key) {
    auto plan = std::move(mine.plan);
    if (mine.cleared == cleared_.load(std::memory_order_relaxed)) return plan;
  }
  std::lock_guard lock(mutex_);
  auto it = by_key_.find(key);
  if (it == by_key_.end() || it->second->plans.empty()) return nullptr;
  entries_.splice(entries_.begin(), entries_, it->second);
  auto plan = std::move(it->second->plans.back());
  it->second->plans.pop_back();
  return plan;
}

void PlanCache::give_back(const Hash& key, std::unique_ptr<Plan> plan) {
  KeptByThread& mine = kept_;
  if (mine.gone || !is_short(*plan)) return put(key, std::move(plan));
  if (mine.plan && mine.cleared == cleared_.load(std::memory_order_relaxed))
    put(mine.key, std::move(mine.plan));
  mine.key = key;
  mine.cleared = cleared_.load(std::memory_order_relaxed);
  mine.plan = std::move(plan);
}

void PlanCache::put(const Hash& key, std::unique_ptr<Plan> plan) {
  std::lock_guard lock(mutex_);
  try {
    auto it = by_key_.find(key);
    if (it == by_key_.end()) {
      std::list<Entry> fresh;
      fresh.push_front({key, {}});
      it = by_key_.emplace(key, fresh.begin()).first;
      entries_.splice(entries_.begin(), fresh);
    }
    it->second->plans.push_back(std::move(plan));
  } catch (const std::bad_alloc&) {  // no memory to remember it by: it is made again
  }
  if (entries_.size() > most) {
    by_key_.erase(entries_.back().key);
    entries_.pop_back();
  }
}

void PlanCache::clear() {
  std::lock_guard lock(mutex_);
  cleared_.fetch_add(1, std::memory_order_relaxed);
  by_key_.clear();
  entries_.clear();
}

PlanCache& plan_cache() {
  static auto* const cache = new PlanCache;  // threads may evaluate while the program ends
  return *cache;
}

}  // namespace tarn
