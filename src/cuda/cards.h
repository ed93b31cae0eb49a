// The cards of a group's ranks, each in a process of its own, which exchange arrays by NCCL.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string_view>

#include "cuda/direct.h"
#include "cuda/nccl_library.h"
#include "distributed/peers.h"

namespace tarn::distributed {

// Kept to the end of the program: plans recorded with a communicator may run again.
struct Cards {
  cuda::NcclComm* communicator = nullptr;
  int rank = 0, size = 1;
  std::weak_ptr<Peers> hosts{};  // the same ranks, who see when one ends
  // Held while calls put work into the queue, so that an abort does not come between.
  std::timed_mutex calls{};
  std::atomic<const char*> last{"init"};  // the communication that was put there last
  std::atomic<bool> failed{false};
  int* stop = nullptr;       // memory of the host that the card sees: 1 when it failed
  cuda::DirectSum direct{};  // of no numbers yet; of one rank where cards do not see each other
};

}  // namespace tarn::distributed

namespace tarn::cuda {

using distributed::Cards;

// Gives the cards memory that all of them write to, where they can. Every rank calls it.
void connect_directly(Cards& cards, distributed::Peers& ranks);
// From now on a thread looks whether the cards' communications go on. Where one cannot, since a
// rank is gone or NCCL met an error, it is taken out of the queue, and who waits for that is told.
void watch(Cards& cards);
// What a wait for the queue gave. Throws what became of a communication since the thread last
// asked, since results are then of no use, and else what the runtime says.
void check_queue(cudaError_t result);

// A communication of the calling thread, from the first call of NCCL to the last. Throws
// DeviceError when an earlier one failed.
class CommunicationCalls {
 public:
  CommunicationCalls(Cards& cards, std::string_view what);
  const Nccl& library() const { return *nccl(); }
  // Of the result of a call.
  void check(int result) const;

 private:
  Cards& cards_;
  std::string_view what_;
  std::unique_lock<std::timed_mutex> lock_;
};
// How many the calling thread made, recorded ones included.
size_t communications_made();
// Throws when a communication failed: what was recorded with it must not run again.
void require_communications(const char* what);

}  // namespace tarn::cuda
