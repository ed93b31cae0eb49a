// Devices, streams and asynchronous evaluation.
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <unordered_map>

#include "base/require.h"
#include "base/residency.h"
#include "base/signals_blocked.h"
#include "graph/node.h"
#include "runtime/backend.h"
#include "runtime/eval.h"
#include "tarn/array.h"
#include "tarn/device.h"
#include "tarn/info.h"
#include "tarn/memory.h"

#if defined(__x86_64__)
#define TARN_ARCHITECTURE "x86_64"
#elif defined(__aarch64__)
#define TARN_ARCHITECTURE "aarch64"
#else
#define TARN_ARCHITECTURE "unknown"
#endif

namespace tarn {
namespace {

// The GPU when TARN_DEVICE says so and there is one.
Device first_device() {
  static const bool gpu = [] {
    const char* wanted = std::getenv("TARN_DEVICE");
    return wanted && std::string_view(wanted) == "gpu" && gpu_backend();
  }();
  return gpu ? Device::gpu : Device::cpu;
}

thread_local Device thread_device = first_device();
// The default stream of each type of device.
thread_local Stream thread_streams[] = {{0, Device::cpu}, {0, Device::gpu}};

// The streams that were made. A clearing makes the numbers begin again, and all that threads
// remember of the time before is stale.
class Streams {
 public:
  static Streams& get() {
    static auto* const all = new Streams;
    return *all;
  }
  Stream make(Device d) {
    std::lock_guard lock(mutex_);
    made_.push_back({static_cast<int>(made_.size()), d});
    return made_.back();
  }
  int make_name() {
    std::lock_guard lock(mutex_);
    return names_++;
  }
  std::vector<Stream> list() {
    std::lock_guard lock(mutex_);
    return made_;
  }
  void clear() {
    std::lock_guard lock(mutex_);
    made_.resize(1);
    ++clearings_;
  }
  uint64_t clearings() const { return clearings_; }

 private:
  std::mutex mutex_;
  std::vector<Stream> made_{Stream{}};
  int names_ = 0;
  std::atomic<uint64_t> clearings_{0};
};

thread_local uint64_t thread_clearings = 0;
thread_local std::unordered_map<int, Stream> streams_by_name;

// The thread's default stream on a device; what it remembers of streams is forgotten after a
// clearing.
Stream& current_stream(Device d) {
  if (uint64_t now = Streams::get().clearings(); now != thread_clearings) {
    thread_clearings = now;
    for (Stream& s : thread_streams) s.index = 0;
    streams_by_name.clear();
  }
  return thread_streams[static_cast<size_t>(d.type)];
}

void check_device(const char* who, Device d) {
  require<ValueError>(is_available(d), "[{}] there is no device {} {} here.", who,
                      d.type == Device::cpu ? "cpu" : "gpu", d.index);
}

thread_local bool on_async_thread = false;

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
    if (!started_) {
      SignalsBlocked blocked;
      std::thread([this] { serve(); }).detach();
    }
    started_ = true;
    jobs_.push_back(std::move(job));
    undone_ = true;
    changed_.notify_all();
  }
  bool undone() const { return undone_.load(std::memory_order_acquire); }
  void wait_until_done() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !undone_; });
  }
  void drain() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !undone_; });
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  void serve() {
    on_async_thread = true;
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return !jobs_.empty(); });
      auto job = std::move(jobs_.front());
      jobs_.pop_front();
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
      undone_ = !jobs_.empty();
      if (error && !error_) error_ = error;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool started_ = false;
  std::atomic<bool> undone_{false};  // jobs, or one of them under way
  std::exception_ptr error_;
};

}  // namespace

Device default_device() { return thread_device; }
void set_default_device(Device d) {
  check_device("set_default_device", d);
  thread_device = d;
}
bool is_available(Device d) { return d.index == 0 && device_count(d.type) == 1; }
int device_count(Device::DeviceType type) { return type == Device::cpu || gpu_backend() ? 1 : 0; }
std::unordered_map<std::string, std::variant<std::string, size_t>> device_info(Device d) {
  check_device("device_info", d);
  if (d == Device::gpu) return gpu_backend()->info();
  MachineInfo m = machine_info();
  return {{"device_name", m.processor},
          {"architecture", std::string(TARN_ARCHITECTURE)},
          {"isa", m.isa},
          {"memory_size", static_cast<size_t>(m.memory_bytes)},
          {"threads", static_cast<size_t>(m.threads)}};
}

Stream default_stream(Device d) {
  check_device("default_stream", d);
  return current_stream(d);
}
std::optional<Stream> peek_default_stream(Device d) { return default_stream(d); }
void set_default_stream(Stream s) {
  check_device("set_default_stream", s.device);
  current_stream(s.device) = s;
}
Stream new_stream(Device d) {
  check_device("new_stream", d);
  return Streams::get().make(d);
}
Stream new_thread_unsafe_stream(Device d) { return new_stream(d); }
ThreadLocalStream new_thread_local_stream(Device d) {
  check_device("new_thread_local_stream", d);
  return {Streams::get().make_name(), d};
}
Stream stream_from_thread_local_stream(ThreadLocalStream s) {
  check_device("stream_from_thread_local_stream", s.device);
  current_stream(s.device);
  auto it = streams_by_name.find(s.index);
  if (it == streams_by_name.end())
    it = streams_by_name.emplace(s.index, new_stream(s.device)).first;
  return it->second;
}
std::vector<Stream> get_streams() { return Streams::get().list(); }
void clear_streams() {
  synchronize();
  Streams::get().clear();
}

Stream to_stream(StreamOrDevice s) {
  // Asked for at each recorded operation.
  if (s.what == StreamOrDevice::What::nothing) return current_stream(thread_device);
  return to_stream(s, thread_device);
}
Stream to_stream(StreamOrDevice s, Device default_) {
  switch (s.what) {
    case StreamOrDevice::What::nothing:
      return default_stream(default_);
    case StreamOrDevice::What::device:
      return default_stream(s.stream.device);
    case StreamOrDevice::What::thread_local_stream:
      return stream_from_thread_local_stream({s.stream.index, s.stream.device});
    case StreamOrDevice::What::stream:
      break;
  }
  check_device("to_stream", s.stream.device);
  return s.stream;
}

StreamContext::StreamContext(StreamOrDevice s) : device_(thread_device) {
  require<ValueError>(s.what != StreamOrDevice::What::nothing,
                      "[StreamContext] a stream or a device is needed.");
  Stream now = to_stream(s);
  stream_ = current_stream(now.device);
  set_default_device(now.device);
  set_default_stream(now);
}
StreamContext::~StreamContext() {
  thread_device = device_;
  current_stream(stream_.device) = stream_;
}

bool async_work_goes_first() { return !on_async_thread && AsyncQueue::get().undone(); }
void wait_for_async_work() { AsyncQueue::get().wait_until_done(); }

void async_eval(std::vector<array> outputs) {
  AsyncQueue::get().push({std::move(outputs), keeps_history()});
}
void synchronize() {
  AsyncQueue::get().drain();
  if (const Backend* gpu = gpu_backend()) gpu->check();
}
void synchronize(Stream) { synchronize(); }
void synchronize(ThreadLocalStream) { synchronize(); }

void prefetch(const std::vector<array>& arrays, StreamOrDevice to) {
  Device d = to_stream(to).device;
  eval(arrays);
  for (const array& a : arrays) {
    Buffer* b = a.node()->buffer.get();
    if (!b) continue;  // a number goes along with the step that reads it
    d == Device::gpu ? device_bytes(*b, *gpu_backend()->memory) : host_bytes(*b);
  }
}

}  // namespace tarn
