// Trying again: which failures deserve it, how long to wait, and what is said when it is given up.
#pragma once

#include <functional>
#include <string>

#include "lm/hub/http.h"

namespace tarn::lm::hub {

struct Attempts {
  std::string subject{};                 // "org/name/config.json", named in the error
  std::function<void()> attempt{};       // throws Failure
  std::function<uint64_t()> received{};  // bytes so far: 1 MiB more begins the count anew
};

// Until an attempt does not throw Failure. Throws HubError when no more may be made, and Cancelled
// after a stop, also while waiting.
void try_again(const HubOptions& options, const std::stop_token& stop, const Attempts& attempts);

// What a status other than 200 and 206 means. `what` is "model" or "file".
Failure failure_of_status(const HttpResponse& response, const HubOptions& options,
                          std::string_view what);

}  // namespace tarn::lm::hub
