// Where `tarn train` and `tarn research` write.
#pragma once

#include <string>

#include "base/file_lock.h"

namespace tarn::cli {

// The folder of a run, which one run at a time writes. It is made, and its lock held; a process
// that dies gives that back. What it made and nothing was put into, it takes away at its end.
class RunFolder {
 public:
  // `verb` as in messages, "train". Throws UsageError for no name, and FileError where the folder
  // cannot be made or written to, and where another run is at work in it.
  RunFolder(const std::string& folder, const char* verb);
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  // Whether nothing is in it but the lock.
  bool is_empty() const;

 private:
  bool was_made_;
  FileLock lock_;
};

}  // namespace tarn::cli
