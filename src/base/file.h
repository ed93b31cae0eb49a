// Opening a regular file for reading, and making folders, with errors that name them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace tarn {

// A regular file, open for reading; directories, pipes and devices are refused.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  ~InputFile();

  int descriptor() const { return descriptor_; }
  uint64_t size() const { return size_; }  // when it was opened
  uint64_t size_now() const;
  // Nobody but this user and root may write to the file, so its bytes can be trusted to stay.
  bool only_ours() const { return only_ours_; }
  // Fills `to` with the bytes from `offset` on. Throws FileError when the file is shorter.
  void read(void* to, size_t n, uint64_t offset) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
  bool only_ours_ = false;
};

// The whole file. Throws FileError when it is larger than `limit` bytes.
std::string read_text(const std::string& path, uint64_t limit);

// Makes a folder and those above it; false where it was there. Throws FileError "[PLACE] FOLDER:
// …".
bool make_folder(const std::string& path, const char* place);

}  // namespace tarn
