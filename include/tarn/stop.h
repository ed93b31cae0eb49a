// Stopping evaluations from outside.
#pragma once

#include <stop_token>

namespace tarn {

// While it lives, evaluations on this thread and the loading and saving of weights throw Cancelled
// soon after a stop is requested.
class StopScope {
 public:
  explicit StopScope(std::stop_token token);
  ~StopScope();
  StopScope(const StopScope&) = delete;
  StopScope& operator=(const StopScope&) = delete;

  // The token of this thread's innermost scope; without one, a token that is never requested.
  static std::stop_token current();

 private:
  std::stop_token before_;
};

}  // namespace tarn
