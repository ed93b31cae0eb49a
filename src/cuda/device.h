// The card, its queue, and the errors of both.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cuda/fault.h"
#include "graph/op.h"

namespace tarn::cuda {

// One card and one queue: kernels and copies run in the order in which they are given.
struct Card {
  cudaStream_t queue = nullptr;
  int index = 0;      // among those that the driver shows
  cudaUUID_t id{};    // among all
  size_t memory = 0;  // bytes
  int processors = 0;
  int major = 0, minor = 0;  // of the compute capability
  std::string name{};
};
// Null when there is no driver, no card, or none of compute capability 8.0 or later. Of several it
// is the one that TARN_GPU names, else in the turn of the processes that were started together.
const Card* card();
// Calls of the CUDA runtime that name no queue mean a card of the thread, at first another one.
void use_card();
cudaStream_t queue();
// What queue() gives the calling thread from now on; null: the card's.
void set_queue_of_thread(cudaStream_t queue);
// Products of all threads use one workspace, and a product may be several kernels. Held while those
// are put into the queue, and while a recording is, which may hold products: so another thread's
// product does not come between them.
std::mutex& workspace_mutex();

// Throws DeviceError when a call of the CUDA runtime failed.
void check(cudaError_t result, const char* doing);

// Memory that kernel and host see, for one launch of an op whose indices are to be checked.
Fault* fault_of(const Op& op);
// The same of launches that are recorded, to be used by each run of the recording.
class RecordedFaults {
 public:
  RecordedFaults() = default;
  RecordedFaults(const RecordedFaults&) = delete;
  RecordedFaults& operator=(const RecordedFaults&) = delete;
  ~RecordedFaults();
  Fault* add(const Op& op);
  // Throws the first that a run met, and forgets it.
  void check();
  bool empty() const { return all_.empty(); }

 private:
  std::vector<std::pair<Fault*, const Op*>> all_{};
};
// What fault_of gives the calling thread is one of these from now on; null: as ever.
void set_faults_of_thread(RecordedFaults* faults);
// The calling thread has put a run of their recording into the queue.
void note_run(const std::shared_ptr<RecordedFaults>& faults);
// Waits until the queue is empty. Throws what went wrong in it, and the first fault that a launch
// of this thread met since it last asked.
void wait_and_check();

}  // namespace tarn::cuda
