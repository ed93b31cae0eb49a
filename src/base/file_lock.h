// Who may write something: one thread of one process at a time. The lock is the kernel's (flock),
// so a process that dies gives it back. A disk that knows no flock is asked for an fcntl lock
// instead.
#pragma once

#include <filesystem>
#include <functional>
#include <utility>

namespace tarn {

class FileLock {
 public:
  // Does not take it yet.
  explicit FileLock(std::filesystem::path file) : file_(std::move(file)) {}
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  // Whether this has it now. Where the file cannot be made or locked, `fail` gets what could not be
  // done and errno; it throws.
  using Fail = std::function<void(const char* what, int error)>;
  bool try_to_take(const Fail& fail);
  // Whether somebody has it.
  static bool is_taken(const std::filesystem::path& file);

  const std::filesystem::path& file() const { return file_; }
  int descriptor() const { return descriptor_; }  // -1: not taken

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
};

}  // namespace tarn
