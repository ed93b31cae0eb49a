// Evaluations that are counted instead of computed (MemoryRehearsal in tarn/memory.h).
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "base/buffer.h"
#include "base/hash.h"
#include "base/size_class.h"
#include "runtime/plan.h"
#include "tarn/memory.h"

namespace tarn {

// What allocate_buffer and destroy_buffer would do to the memory of this process: blocks in use,
// and those that are kept for reuse. Only what is written to counts, in the system's pages.
class BufferLedger {
 public:
  // Gives how much of the block has been written to by now.
  size_t allocate(size_t bytes);
  void release(size_t bytes, size_t written);
  size_t peak() const;

 private:
  mutable std::mutex mutex_{};
  std::array<std::vector<size_t>, size_classes> free_{};
  size_t held_ = 0, kept_ = 0, peak_ = 0;
};

struct MemoryRehearsal::Impl {
  Impl* outer = nullptr;
  std::shared_ptr<BufferLedger> ledger = std::make_shared<BufferLedger>();
  BufferRef zeros{};                                     // what all blocks lie in
  std::unordered_map<Hash, size_t, HashOfHash> plans{};  // bytes

  static Impl* current();  // of this thread, or null
  BufferRef buffer(size_t bytes);
  // Memory for one run of a plan, which is kept for the next one.
  void run(const Hash& key, const Plan& plan);
  static bool owns(const Buffer& buffer);
};

}  // namespace tarn
