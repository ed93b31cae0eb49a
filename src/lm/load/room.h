// Whether a model fits into what is free.
#pragma once

#include <cstdint>
#include <filesystem>

#include "lm/load/load.h"
#include "tarn/lm/plan.h"

namespace tarn::lm {

// The memory that loading and answers take; `lm` is all but the weights.
MemoryPlan plan_of(const ModelFiles& files, LanguageModel lm, const PlanOptions& options);

// The room for a model and what becomes known of its needs while it is loaded. Throws DeviceError
// where it does not fit.
class RoomCheck {
 public:
  RoomCheck(const std::filesystem::path& path, const LoadOptions& options);
  // Before the files are opened: those that others may write are copied then.
  void of_files() const;
  // Before the weights are read.
  void of_weights(const ModelFiles& files) const;
  uint64_t file_bytes() const { return file_bytes_; }  // of all that hold weights

 private:
  MemoryPlan planned(const ModelFiles& files) const;

  std::filesystem::path path_;
  const LoadOptions& options_;
  MemoryRoom room_{};
  uint64_t file_bytes_ = 0, copied_bytes_ = 0;
};

}  // namespace tarn::lm
