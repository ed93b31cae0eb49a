#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/signals_blocked.h"
#include "tarn/lm/hub.h"

namespace tarn::lm {

struct Download::Impl {
  Impl(HubClient c, ModelConfiguration m, bool latest)
      : client(std::move(c)), model(std::move(m)), use_latest(latest) {
    begin();
  }

  // With the mutex held, or before anybody else knows this.
  void begin() {
    now = {.state = Availability::State::downloading};
    is_over = false;
    SignalsBlocked blocked;
    thread = std::jthread([this](std::stop_token stop) { run(std::move(stop)); });
  }

  void run(std::stop_token stop) {
    FetchOptions options;
    options.stop = std::move(stop);
    options.use_latest = use_latest;
    options.progress = [this](const DownloadProgress& progress) {
      std::lock_guard lock(mutex);
      now.progress = progress;
    };
    try {
      end({.state = Availability::State::available, .path = client.fetch(model, options)});
    } catch (const HubError& error) {
      end({.reason = error.reason(), .message = error.what(), .can_retry = error.can_retry()});
    } catch (const Cancelled& error) {
      end({.reason = HubReason::not_downloaded, .message = error.what(), .can_retry = true});
    } catch (const std::exception& error) {
      end({.reason = HubReason::disk, .message = error.what(), .can_retry = true});
    }
  }

  void end(Availability last) {
    std::lock_guard lock(mutex);
    last.progress = now.progress;
    now = std::move(last);
    is_over = true;
    changed.notify_all();
  }

  HubClient client;
  ModelConfiguration model;
  bool use_latest;
  std::mutex mutex{};
  std::condition_variable changed{};
  Availability now{};
  bool is_over = false;
  std::jthread thread{};  // last: it ends before what it uses does
};

Availability Download::state() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->now;
}

Availability Download::wait() const {
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [this] { return impl_->is_over; });
  return impl_->now;
}

void Download::retry() const {
  std::lock_guard lock(impl_->mutex);
  if (!impl_->is_over || impl_->now.state != Availability::State::unavailable) return;
  impl_->begin();
}

void Download::cancel() const {
  std::lock_guard lock(impl_->mutex);
  impl_->thread.request_stop();
}

Download HubClient::start(const ModelConfiguration& model, bool use_latest) const {
  return Download(std::make_shared<Download::Impl>(*this, model, use_latest));
}

}  // namespace tarn::lm
