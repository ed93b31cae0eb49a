#include "cuda/sender.h"

#include "cuda/cards.h"
#include "cuda/device.h"

namespace tarn::cuda {

class Sender::Sent final : public Arrival {
 public:
  Sent(Sender& by, Slot slot) : by_(by), slot_(slot) {}
  Sent(const Sent&) = delete;
  Sent& operator=(const Sent&) = delete;
  // The block may be released afterwards, so the copy must not be under way.
  ~Sent() override {
    cudaEventSynchronize(slot_.copied);
    by_.give_back(slot_);
  }
  void start(cudaStream_t queue, const void* from, size_t bytes) {
    check(cudaEventRecord(slot_.computed, cuda::queue()), "an event");
    check(cudaStreamWaitEvent(queue, slot_.computed), "an event");
    check(cudaMemcpyAsync(slot_.bytes, from, bytes, cudaMemcpyDeviceToHost, queue), "a copy");
    check(cudaEventRecord(slot_.copied, queue), "an event");
  }
  const void* wait() override {
    check_queue(cudaEventSynchronize(slot_.copied));
    return slot_.bytes;
  }

 private:
  Sender& by_;
  Slot slot_;
};

Sender& Sender::get() {
  static auto* const one = new Sender;  // threads may evaluate while the program ends
  return *one;
}
Sender::Sender() {
  use_card();
  check(cudaStreamCreateWithFlags(&queue_, cudaStreamNonBlocking), "cudaStreamCreate");
}

std::unique_ptr<Arrival> Sender::send(const void* from, size_t bytes) {
  auto sent = std::make_unique<Sent>(*this, take());
  sent->start(queue_, from, bytes);
  return sent;
}

Sender::Slot Sender::take() {
  use_card();
  std::lock_guard lock(mutex_);
  if (!free_.empty()) {
    Slot slot = free_.back();
    free_.pop_back();
    return slot;
  }
  Slot slot;
  check(cudaHostAlloc(&slot.bytes, most, cudaHostAllocDefault), "cudaHostAlloc");
  for (cudaEvent_t* e : {&slot.computed, &slot.copied})
    check(cudaEventCreateWithFlags(e, cudaEventDisableTiming), "cudaEventCreate");
  return slot;
}
void Sender::give_back(Slot slot) noexcept {
  std::lock_guard lock(mutex_);
  try {
    free_.push_back(slot);
  } catch (const std::bad_alloc&) {  // the host has no memory to remember it by: it is lost
  }
}

}  // namespace tarn::cuda
