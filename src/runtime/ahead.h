// Work for a device that is put behind work which is not done yet.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/residency.h"
#include "tarn/array.h"

namespace tarn {

// An evaluation that returns when a device has been given its part. What kernels meet in the data
// is thrown by the thread's next evaluation that waits for them, or by synchronize().
void eval_ahead(const std::vector<array>& outputs);

// A uint32 that is sent to the host when it is computed, before what is evaluated later, which may
// write to its memory.
class ArrivingNumber {
 public:
  explicit ArrivingNumber(const array& number);
  uint32_t wait();

 private:
  std::unique_ptr<Arrival> arrival_{};
  uint32_t number_ = 0;  // of what the host has already
};

}  // namespace tarn
