#include "runtime/plan_cache.h"

#include <new>

namespace tarn {

std::unique_ptr<Plan> PlanCache::take(const Hash& key) {
  std::lock_guard lock(mutex_);
  auto it = by_key_.find(key);
  if (it == by_key_.end() || it->second->plans.empty()) return nullptr;
  entries_.splice(entries_.begin(), entries_, it->second);
  auto plan = std::move(it->second->plans.back());
  it->second->plans.pop_back();
  return plan;
}

void PlanCache::give_back(const Hash& key, std::unique_ptr<Plan> plan) {
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
  by_key_.clear();
  entries_.clear();
}

PlanCache& plan_cache() {
  static auto* const cache = new PlanCache;  // threads may evaluate while the program ends
  return *cache;
}

}  // namespace tarn
