// Writing a file whole or not at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace tarn::io {

// Bytes go to a temporary file in the folder of `path`; commit() syncs it, checks its size, renames
// it to `path` and syncs the folder. Until then, and when anything fails, the old file stays and
// the temporary one is removed. A symbolic link is followed, the mode of an old file kept.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  // For between many arrays: throws Cancelled where this thread's StopScope is asked to stop.
  static void check_stop();
  uint64_t size() const { return size_; }
  // For a library that writes files by name: it writes this one, then filled_by_name() takes it
  // over.
  const std::string& temporary_path() const { return temporary_; }
  void filled_by_name();
  void commit();

 private:
  [[noreturn]] void fail_with_errno(const char* what, int error) const;

  std::string target_, temporary_, shown_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

}  // namespace tarn::io
