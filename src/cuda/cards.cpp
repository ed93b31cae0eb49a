#include "cuda/cards.h"

#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/require.h"
#include "base/signals_blocked.h"
#include "cuda/device.h"

namespace tarn::cuda {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto pause = std::chrono::milliseconds(20);
// What a rank sent before it ended still arrives.
constexpr auto patience = std::chrono::seconds(2);

// The failure met last, and how many there were.
struct Failures {
  std::mutex mutex{};
  std::string last{};
  std::atomic<uint64_t> count{0};
};
Failures& failures() {
  static auto* const all = new Failures;  // threads may evaluate while the program ends
  return *all;
}
thread_local uint64_t failures_told = 0;
thread_local size_t made = 0;

class Watch {
 public:
  Watch() {
    SignalsBlocked blocked;
    std::thread([this] { work(); }).detach();
    // Before the end of the program takes NCCL and the driver down.
    std::atexit([] { get().close(); });
  }
  static Watch& get() {
    static auto* const one = new Watch;
    return *one;
  }
  void add(Cards& cards) {
    std::lock_guard lock(mutex_);
    watched_.push_back({&cards, {}});
    some_ = true;
  }
  static void look_for_ends() {
    if (!some_) return;
    std::this_thread::sleep_for(10 * pause);  // its connection may end later than its memory
    std::lock_guard lock(get().mutex_);
    for (Watched& w : get().watched_)
      if (int gone = gone_of(*w.cards); gone >= 0 && !w.cards->failed) give_up(*w.cards, gone);
  }

 private:
  struct Watched {
    Cards* cards = nullptr;
    std::optional<Clock::time_point> ended{};  // when a rank was first seen gone, the queue at work
  };
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  void work() {
    use_card();
    for (;; std::this_thread::sleep_for(pause)) {
      std::lock_guard lock(mutex_);
      if (closed_) return;
      for (Watched& w : watched_)
        if (!w.cards->failed) look_at(w);
    }
  }
  void look_at(Watched& w) {
    int error = nccl_success;
    nccl()->error_of(w.cards->communicator, &error);
    if (error != nccl_success && error != nccl_in_progress)
      return give_up(*w.cards, fmt::format("[{}] NCCL met an error: {} ({}).", w.cards->last.load(),
                                           nccl()->error_text(error),
                                           nccl()->last_error(w.cards->communicator)));
    int gone = gone_of(*w.cards);
    if (gone < 0 || cudaStreamQuery(card()->queue) == cudaSuccess) return w.ended.reset();
    if (!w.ended) w.ended = Clock::now();
    if (Clock::now() - *w.ended >= patience) give_up(*w.cards, gone);
  }
  static int gone_of(const Cards& cards) {
    auto hosts = cards.hosts.lock();
    return hosts ? hosts->gone() : -1;
  }
  static void give_up(Cards& cards, int gone) {
    give_up(cards, fmt::format("[{}] rank {} is gone: it ended, or closed its connection, before "
                               "this communication was done.",
                               cards.last.load(), gone));
  }
  static void give_up(Cards& cards, std::string why) {
    {
      std::lock_guard lock(failures().mutex);
      failures().last = std::move(why);
    }
    cards.failed = true;
    *cards.stop = 1;
    ++failures().count;
    // In a thread of its own, since NCCL waits in it for all recordings to be forgotten.
    SignalsBlocked blocked;
    std::thread([&cards] {
      use_card();
      std::unique_lock lock(cards.calls, std::defer_lock);
      lock.try_lock_for(patience);  // a call that does not come back waits for a rank that is gone
      nccl()->abort(cards.communicator);
    }).detach();
  }

  std::mutex mutex_{};
  std::vector<Watched> watched_{};
  bool closed_ = false;
  static inline std::atomic<bool> some_{false};
};

}  // namespace

void watch(Cards& cards) { Watch::get().add(cards); }

void check_queue(cudaError_t result) {
  // The memory of a rank that ended is gone, which may look like a fault of a kernel.
  if (result != cudaSuccess) Watch::look_for_ends();
  uint64_t count = failures().count.load(std::memory_order_acquire);
  if (count != failures_told) {
    failures_told = count;
    std::lock_guard lock(failures().mutex);
    fail<DeviceError>("{}", failures().last);
  }
  check(result, "the work in the queue");
}

void require_communications(const char* what) {
  require<DeviceError>(failures().count.load(std::memory_order_acquire) == 0,
                       "[{}] an earlier communication of this group failed; it is of no use now.",
                       what);
}

CommunicationCalls::CommunicationCalls(Cards& cards, std::string_view what)
    : cards_(cards), what_(what), lock_(cards.calls, std::defer_lock) {
  do {
    require<DeviceError>(!cards.failed,
                         "[{}] an earlier communication of this group failed; it is of no use now.",
                         what);
  } while (!lock_.try_lock_for(pause));  // not for ever: an abort may keep it
  cards.last = what.data();
  ++made;
}
void CommunicationCalls::check(int result) const {
  require<DeviceError>(result == nccl_success, "[{}] NCCL refuses: {} ({}).", what_,
                       nccl()->error_text(result), nccl()->last_error(cards_.communicator));
}
size_t communications_made() { return made; }

}  // namespace tarn::cuda
