#include "lm/hub/fetch.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>

#include "base/signals_blocked.h"
#include "lm/hub/names.h"

namespace tarn::lm::hub {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto report_every = std::chrono::milliseconds(100);
constexpr double rate_memory_s = 3;  // an older sample counts e times less

// One file and how much of it is there.
struct Item {
  const HubFile* file = nullptr;
  std::atomic<uint64_t> got{0};
  std::atomic<bool> is_done{false};
};

// Bytes, rate and time left, from what the items say now.
class Meter {
 public:
  explicit Meter(const std::vector<Item>& items) : items_(items) {
    now_.files_total = static_cast<int>(items.size());
    for (const Item& item : items) now_.bytes_total += item.file->bytes;
    now_.bytes_at_start = before_ = sum();
  }

  const DownloadProgress& read() {
    now_.bytes_done = sum();
    now_.files_done = static_cast<int>(std::count_if(
        items_.begin(), items_.end(), [](const Item& i) { return i.is_done.load(); }));
    auto time = Clock::now();
    double seconds = std::chrono::duration<double>(time - time_).count();
    if (seconds < 0.05) return now_;
    // A part that was thrown away makes no negative rate.
    double gained = now_.bytes_done > before_ ? static_cast<double>(now_.bytes_done - before_) : 0;
    double weight = std::min(1.0, seconds / rate_memory_s);
    double rate = gained / seconds;
    now_.bytes_per_second =
        now_.bytes_per_second < 0 ? rate : now_.bytes_per_second * (1 - weight) + rate * weight;
    now_.seconds_left =
        now_.bytes_per_second > 0
            ? static_cast<double>(now_.bytes_total - now_.bytes_done) / now_.bytes_per_second
            : -1;
    time_ = time, before_ = now_.bytes_done;
    return now_;
  }

 private:
  uint64_t sum() const {
    uint64_t bytes = 0;
    for (const Item& item : items_) bytes += item.got;
    return bytes;
  }

  const std::vector<Item>& items_;
  DownloadProgress now_{};
  Clock::time_point time_ = Clock::now();
  uint64_t before_ = 0;
};

// Works through the items with some threads; the first error stops all of them.
class Crew {
 public:
  Crew(const Source& source, std::vector<Item>& items, std::stop_token stop)
      : source_(source), items_(items), on_stop_(stop, Forward{stop_}) {}

  void run(Meter& meter, const std::function<void(const DownloadProgress&)>& progress) {
    start();
    std::unique_lock lock(mutex_);
    while (running_ > 0) {
      ended_.wait_for(lock, report_every, [&] { return running_ == 0; });
      if (!progress) continue;
      lock.unlock();
      progress(meter.read());
      lock.lock();
    }
    lock.unlock();
    threads_.clear();
    if (!error_) return;
    if (progress) progress(meter.read());  // how far it came
    std::rethrow_exception(error_);
  }

  ~Crew() { stop_.request_stop(); }

 private:
  struct Forward {
    std::stop_source& to;
    void operator()() const { to.request_stop(); }
  };

  void start() {
    size_t wanted = std::min(items_.size(), static_cast<size_t>(source_.options.parallelism));
    std::lock_guard lock(mutex_);
    SignalsBlocked blocked;
    try {
      while (threads_.size() < wanted) {
        threads_.emplace_back([this] { work(); });
        ++running_;
      }
    } catch (const std::system_error&) {
      // Fewer threads do as well.
      require<DeviceError>(!threads_.empty(), "[hub] no thread can be started to download with.");
    }
  }

  void work() {
    try {
      HttpClient http(source_.options, stop_.get_token());
      for (size_t i = next_++; i < items_.size(); i = next_++) {
        BlobDownload(source_, *items_[i].file, http, items_[i].got).run();
        items_[i].is_done = true;
      }
    } catch (...) {
      std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      stop_.request_stop();
    }
    std::lock_guard lock(mutex_);
    if (--running_ == 0) ended_.notify_all();
  }

  const Source& source_;
  std::vector<Item>& items_;
  std::stop_source stop_{};
  std::stop_callback<Forward> on_stop_;
  std::mutex mutex_{};
  std::condition_variable ended_{};
  std::atomic<size_t> next_{0};
  size_t running_ = 0;
  std::exception_ptr error_{};
  std::vector<std::jthread> threads_{};
};

// Refuses before the first byte what would end with a full disk.
void check_room(const Source& source, const std::vector<Item>& items) {
  uint64_t needed = 0;
  for (const Item& item : items) needed += item.file->bytes - item.got;
  uint64_t available = free_bytes(source.layout.root());
  if (needed <= available) return;
  refuse(HubReason::disk,
         "[hub] {}: {} are to be downloaded and the disk of {} has {} free. Free some space, or "
         "set HF_HUB_CACHE to a folder on another disk.",
         source.id, bytes_text(needed), printable(source.options.cache.string(), 4096),
         bytes_text(available));
}

// What there is to bring: files of the same content are one blob.
std::vector<const HubFile*> distinct_blobs(const std::vector<HubFile>& files) {
  std::vector<const HubFile*> blobs;
  std::set<std::string> seen;
  for (const HubFile& f : files)
    if (seen.insert(f.blob()).second) blobs.push_back(&f);
  return blobs;
}

}  // namespace

void fetch_files(const Source& source, const std::vector<HubFile>& files,
                 const FetchOptions& options) {
  std::vector<const HubFile*> blobs = distinct_blobs(files);
  std::vector<Item> items(blobs.size());
  bool is_whole = true;
  for (size_t i = 0; i < blobs.size(); ++i) {
    items[i].file = blobs[i];
    items[i].is_done = source.layout.has_blob(*blobs[i]);
    uint64_t part =
        std::min(regular_size(source.layout.part(*blobs[i])).value_or(0), blobs[i]->bytes);
    items[i].got = items[i].is_done ? blobs[i]->bytes : part;
    is_whole = is_whole && items[i].is_done;
  }
  Meter meter(items);
  if (!is_whole) {
    check_room(source, items);
    source.layout.make_folders();
    if (options.progress) options.progress(meter.read());
    Crew(source, items, options.stop).run(meter, options.progress);
  }
  if (options.progress) options.progress(meter.read());
  for (const HubFile& f : files) source.layout.link(source.commit, f);
}

}  // namespace tarn::lm::hub
