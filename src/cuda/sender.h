// Small results on their way to the host while the queue goes on.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <mutex>
#include <vector>

#include "base/residency.h"

namespace tarn::cuda {

// A kernel in the card's queue writes them to memory of the host, so that what comes behind it may
// write to theirs, and who waits for them does not wait for that.
class Sender {
 public:
  static constexpr size_t most = 256;  // bytes
  static Sender& get();
  std::unique_ptr<Arrival> send(const void* from, size_t bytes);

 private:
  // Memory of the host that the card writes to, and the event behind that.
  struct Slot {
    void* bytes = nullptr;
    cudaEvent_t written = nullptr;
  };
  class Sent;

  Slot take();
  void give_back(Slot slot) noexcept;

  std::mutex mutex_{};
  std::vector<Slot> free_{};
};

void launch_send(void* to, const void* from, size_t bytes, cudaStream_t queue);

}  // namespace tarn::cuda
