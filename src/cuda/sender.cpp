#include "cuda/sender.h"

#include "cuda/cards.h"
#include "cuda/device.h"

namespace tarn::cuda {

// A slot may go to another send before the card has written to it: that one's bytes come later.
class Sender::Sent final : public Arrival {
 public:
  Sent(Sender& by, Slot slot) : by_(by), slot_(slot) {}
  Sent(const Sent&) = delete;
  Sent& operator=(const Sent&) = delete;
  ~Sent() override { by_.give_back(slot_); }
  void start(const void* from, size_t bytes) {
    launch_send(slot_.bytes, from, bytes, queue());
    check(cudaGetLastError(), "a launch");
    check(cudaEventRecord(slot_.written, queue()), "an event");
  }
  const void* wait() override {
    check_queue(cudaEventSynchronize(slot_.written));
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

std::unique_ptr<Arrival> Sender::send(const void* from, size_t bytes) {
  auto sent = std::make_unique<Sent>(*this, take());
  sent->start(from, bytes);
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
  check(cudaHostAlloc(&slot.bytes, most, cudaHostAllocMapped), "cudaHostAlloc");
  check(cudaEventCreateWithFlags(&slot.written, cudaEventDisableTiming), "cudaEventCreate");
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
