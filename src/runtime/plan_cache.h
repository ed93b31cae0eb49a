// Plans by structure, the ones used last.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/hash.h"
#include "runtime/plan.h"

namespace tarn {

// A plan that is running is taken out, so that two threads never share one. A short plan that a
// thread ran last stays with the thread: a loop over a small graph then finds it without a lock.
class PlanCache {
 public:
  // Null when there is none.
  std::unique_ptr<Plan> take(const Hash& key);
  void give_back(const Hash& key, std::unique_ptr<Plan> plan);
  void clear();

 private:
  struct KeptByThread;
  static thread_local KeptByThread kept_;
  void put(const Hash& key, std::unique_ptr<Plan> plan);

  static constexpr size_t most = 512;
  struct Entry {
    Hash key;
    std::vector<std::unique_ptr<Plan>> plans;
  };
  std::atomic<uint64_t> cleared_{0};  // how often: what a thread kept before that is dropped
  std::mutex mutex_;
  std::list<Entry> entries_;  // the last used first
  std::unordered_map<Hash, std::list<Entry>::iterator, HashOfHash> by_key_;
};

PlanCache& plan_cache();

}  // namespace tarn
