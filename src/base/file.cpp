#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/printable.h"
#include "base/require.h"

namespace tarn {
namespace {

constexpr size_t largest_read = size_t{1} << 30;  // Linux refuses more than 2 GiB in one call

const char* advice_for(int error) {
  switch (error) {
    case ENOENT:
      return "Check the path.";
    case EACCES:
      return "Give this user the right to read it.";
    case EMFILE:
    case ENFILE:
      return "Too many files are open; raise `ulimit -n`.";
    default:
      return "Check the disk.";
  }
}

[[noreturn]] void fail_with_errno(const std::string& path, const char* what, int error) {
  fail<FileError>("[load] {}: {}: {}. {}", printable(path, 4096), what, std::strerror(error),
                  advice_for(error));
}

}  // namespace

InputFile::InputFile(const std::string& path) : path_(path) {
  require<FileError>(path.find('\0') == std::string::npos,
                     "[load] {}: a path cannot hold a NUL byte.", printable(path, 4096));
  // O_NONBLOCK: opening a pipe must not wait for a writer.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail_with_errno(path, "cannot open", errno);
  struct stat st {};
  if (::fstat(descriptor_, &st) != 0 || !S_ISREG(st.st_mode)) {
    ::close(descriptor_);
    fail<FileError>("[load] {}: this is {}, a regular file is needed.", printable(path, 4096),
                    S_ISDIR(st.st_mode) ? "a directory" : "a pipe or device");
  }
  size_ = static_cast<uint64_t>(st.st_size);
  bool others_write = (st.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  only_ours_ = !others_write && (st.st_uid == ::geteuid() || st.st_uid == 0);
}

InputFile::~InputFile() { ::close(descriptor_); }

uint64_t InputFile::size_now() const {
  struct stat st {};
  if (::fstat(descriptor_, &st) != 0) fail_with_errno(path_, "cannot look at the size", errno);
  return static_cast<uint64_t>(st.st_size);
}

void InputFile::read(void* to, size_t n, uint64_t offset) const {
  auto* out = static_cast<char*>(to);
  while (n > 0) {
    ssize_t got = ::pread(descriptor_, out, std::min(n, largest_read), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_with_errno(path_, "cannot read", errno);
    require<FileError>(got > 0,
                       "[load] {}: the file ends at byte {}, {} more bytes were there when it was "
                       "opened. Something is writing to it; load it again when that is done.",
                       printable(path_, 4096), offset, n);
    out += got;
    n -= static_cast<size_t>(got);
    offset += static_cast<uint64_t>(got);
  }
}

std::string read_text(const std::string& path, uint64_t limit) {
  InputFile file(path);
  require<FileError>(file.size() <= limit,
                     "[load] {}: the file has {} bytes, at most {} are read. It is not a file of "
                     "the kind expected here.",
                     printable(path, 4096), file.size(), limit);
  std::string text(static_cast<size_t>(file.size()), '\0');
  file.read(text.data(), text.size(), 0);
  return text;
}

bool make_folder(const std::string& path, const char* place) {
  namespace fs = std::filesystem;
  std::error_code error, ignored;
  bool was_made = fs::create_directories(path, error);
  if (fs::is_directory(path, ignored)) return was_made;
  std::string why = fs::exists(path, ignored) ? "a file has this name" : error.message();
  fail<FileError>("[{}] {}: this folder cannot be made: {}. Take another one.", place,
                  printable(path, 4096), why);
}

}  // namespace tarn
