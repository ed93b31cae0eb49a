// Small results on their way to the host while the queue goes on.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <mutex>
#include <vector>

#include "base/residency.h"

namespace tarn::cuda {

// Copies wait in a queue of their own for what was in the card's when they were asked for, so that
// neither what comes later waits for them nor the host for that.
class Sender {
 public:
  static constexpr size_t most = 256;  // bytes
  static Sender& get();
  std::unique_ptr<Arrival> send(const void* from, size_t bytes);

 private:
  // Memory of the host that the card writes to, and the events before and behind the copy.
  struct Slot {
    void* bytes = nullptr;
    cudaEvent_t computed = nullptr, copied = nullptr;
  };
  class Sent;

  Sender();
  Slot take();
  void give_back(Slot slot) noexcept;

  cudaStream_t queue_ = nullptr;
  std::mutex mutex_{};
  std::vector<Slot> free_{};
};

}  // namespace tarn::cuda
