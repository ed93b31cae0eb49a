// Who may write a blob: one thread of one process at a time; huggingface_hub takes the same lock.
#pragma once

#include <filesystem>
#include <utility>

#include "base/file_lock.h"

namespace tarn::lm::hub {

class BlobLock {
 public:
  // Does not take it yet.
  explicit BlobLock(std::filesystem::path file) : lock_(std::move(file)) {}

  // Whether this has it now. Throws HubError (disk) when the file cannot be made.
  bool try_to_take();
  // Whether somebody has it.
  static bool is_taken(const std::filesystem::path& file) { return FileLock::is_taken(file); }

 private:
  FileLock lock_;
};

}  // namespace tarn::lm::hub
