// The card's memory: one range of addresses that grows in place, and blocks cut out of it.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <set>

#include "base/residency.h"

namespace tarn::cuda {

// Addresses for the whole card are reserved once, and memory is put behind them from the start on
// as it is needed; another such range on the host holds the mirrors. Free blocks are joined with
// their neighbours and the smallest that fits is taken. All work is in one queue, so a block that
// is released can be given out at once: who uses it next comes later in the queue.
class Arena final : public DeviceMemory {
 public:
  explicit Arena(size_t card_bytes);
  void* allocate(size_t bytes) override;
  void release(void* block, size_t bytes) noexcept override;
  void* mirror(void* block) const noexcept override;
  void forget_mirror(void* mirror, size_t bytes) noexcept override;
  void to_device(void* to, const void* from, size_t bytes) override;
  void to_host(void* to, const void* from, size_t bytes) override;
  std::unique_ptr<Arrival> send_to_host(const void* from, size_t bytes) override;

 private:
  bool grow(size_t bytes);
  void add_free(size_t at, size_t bytes);
  void take_free(size_t at, size_t bytes);

  std::mutex mutex_{};
  std::byte* base_ = nullptr;
  std::byte* mirror_ = nullptr;
  size_t reserved_ = 0, mapped_ = 0;
  size_t page_ = 0;                                     // what the driver maps at a time
  std::map<size_t, size_t> free_{};                     // sizes by place
  std::set<std::pair<size_t, size_t>> free_by_size_{};  // the same as (size, place)
};

Arena& arena();

}  // namespace tarn::cuda
