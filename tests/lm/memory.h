// What this process holds in memory that no file backs, as the system counts it.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

#include "tarn/memory.h"

namespace tarn_test {

// Sanitizers keep memory of their own beside ours.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool counts_are_ours = false;
#else
constexpr bool counts_are_ours = true;
#endif

inline int64_t anonymous_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssAnon:"))
      return std::strtoll(line.c_str() + sizeof "RssAnon:", nullptr, 10) * 1024;
  return -1;
}

// Without what is kept for reuse.
inline int64_t settled_bytes() {
  tarn::release_memory();
  return anonymous_bytes();
}

// The most that is held while one lives, above what was held at its beginning.
class MemoryWatch {
 public:
  MemoryWatch() : before_(settled_bytes()), most_(before_) {
    thread_ = std::jthread([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        look();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
  }
  int64_t stop() {
    thread_.request_stop();
    thread_.join();
    look();
    return most_ - before_;
  }

 private:
  void look() { most_ = std::max(most_.load(), anonymous_bytes()); }
  int64_t before_;
  std::atomic<int64_t> most_;
  std::jthread thread_{};
};

}  // namespace tarn_test
