// Devices, streams and asynchronous evaluation.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "base/require.h"
#include "graph/node.h"
#include "runtime/eval.h"
#include "tarn/array.h"
#include "tarn/device.h"

namespace tarn {
namespace {

thread_local Device thread_device{};
thread_local Stream thread_stream{};
std::atomic<int> streams{1};

struct Job {
  std::vector<array> outputs{};
  bool keep_history = false;  // a function is being traced by the thread that gave it
};

// One thread evaluates what async_eval was given, in order.
class AsyncQueue {
 public:
  static AsyncQueue& get() {
    static auto* const queue = new AsyncQueue;
    return *queue;
  }
  void push(Job job) {
    std::lock_guard lock(mutex_);
    if (!started_) std::thread([this] { serve(); }).detach();
    started_ = true;
    jobs_.push_back(std::move(job));
    changed_.notify_all();
  }
  void drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return jobs_.empty() && !busy_; });
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return !jobs_.empty(); });
      auto job = std::move(jobs_.front());
      jobs_.pop_front();
      busy_ = true;
      lock.unlock();
      std::exception_ptr error;
      try {
        std::optional<HistoryScope> keep;
        if (job.keep_history) keep.emplace();
        eval(std::move(job.outputs));
      } catch (...) {
        error = std::current_exception();  // kept for synchronize(); wait() meets it again itself
      }
      lock.lock();
      busy_ = false;
      if (error && !error_) error_ = error;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool busy_ = false, started_ = false;
  std::exception_ptr error_;
};

}  // namespace

Device default_device() { return thread_device; }
void set_default_device(Device d) {
  require<ValueError>(is_available(d), "[set_default_device] there is no such device here.");
  thread_device = d;
}
bool is_available(Device d) { return d.type == Device::cpu && d.index == 0; }
int device_count(Device::DeviceType type) { return type == Device::cpu ? 1 : 0; }
Stream default_stream(Device d) {
  require<ValueError>(is_available(d), "[default_stream] there is no such device here.");
  return thread_stream;
}
void set_default_stream(Stream s) { thread_stream = s; }
Stream new_stream(Device d) {
  require<ValueError>(is_available(d), "[new_stream] there is no such device here.");
  return {streams++, d};
}
Stream to_stream(StreamOrDevice s) {
  switch (s.what) {
    case StreamOrDevice::What::nothing:
      return thread_stream;
    case StreamOrDevice::What::device:
      return default_stream(s.stream.device);
    case StreamOrDevice::What::stream:
      break;
  }
  require<ValueError>(is_available(s.stream.device), "[stream] its device is not available here.");
  return s.stream;
}

void async_eval(std::vector<array> outputs) {
  AsyncQueue::get().push({std::move(outputs), keeps_history()});
}
void synchronize() { AsyncQueue::get().drain(); }
void synchronize(Stream) { AsyncQueue::get().drain(); }

}  // namespace tarn
