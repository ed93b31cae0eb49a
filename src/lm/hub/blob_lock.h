// Who may write a blob: one thread of one process at a time. The lock is the kernel's (flock), so a
// process that dies gives it back; huggingface_hub takes the same one. A disk that knows no flock
// is asked for an fcntl lock instead.
#pragma once

#include <filesystem>

namespace tarn::lm::hub {

class BlobLock {
 public:
  // Does not take it yet. Throws HubError (disk) when the file cannot be made.
  explicit BlobLock(std::filesystem::path file) : file_(std::move(file)) {}
  ~BlobLock();
  BlobLock(const BlobLock&) = delete;
  BlobLock& operator=(const BlobLock&) = delete;

  // Whether this has it now.
  bool try_to_take();
  // Whether somebody has it.
  static bool is_taken(const std::filesystem::path& file);

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
};

}  // namespace tarn::lm::hub
