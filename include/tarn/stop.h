// Stopping evaluations from outside.
#pragma once

#include <stop_token>

namespace tarn {

// While it lives, evaluations on this thread throw Cancelled soon after a stop is requested.
class StopScope {
 public:
  explicit StopScope(std::stop_token token);
  ~StopScope();
  StopScope(const StopScope&) = delete;
  StopScope& operator=(const StopScope&) = delete;

 private:
  std::stop_token before_;
};

}  // namespace tarn
