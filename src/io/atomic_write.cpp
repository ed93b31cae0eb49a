#include "io/atomic_write.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/printable.h"
#include "base/require.h"
#include "tarn/stop.h"

namespace tarn::io {
namespace {

constexpr size_t largest_write = size_t{1} << 30;  // Linux refuses more than 2 GiB in one call
constexpr mode_t new_file_mode = 0666;             // less the umask

std::string resolved(const std::string& path) {
  std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? std::string(real.get()) : path;
}

std::string folder_of(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : shown_(printable(path, 4096)) {
  require<FileError>(!path.empty() && path.find('\0') == std::string::npos,
                     "[save] \"{}\" is no path. Name a file.", shown_);
  target_ = resolved(path);
  struct stat old {};
  bool exists = ::stat(target_.c_str(), &old) == 0;
  require<FileError>(!exists || S_ISREG(old.st_mode),
                     "[save] {}: this is a directory or a device; name a regular file.", shown_);
  static std::atomic<unsigned> counter{0};
  for (int attempt = 0; descriptor_ < 0; ++attempt) {
    temporary_ = fmt::format("{}.{}-{}.part", target_, ::getpid(), counter++);
    descriptor_ =
        ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, new_file_mode);
    // A name left over by a killed process with the same id is passed over.
    if (descriptor_ < 0 && (errno != EEXIST || attempt == 100)) {
      int error = errno;
      temporary_.clear();
      fail_with_errno("cannot create a file beside it", error);
    }
  }
  // Best effort: a file system without modes keeps its own.
  if (exists && ::fchmod(descriptor_, old.st_mode & 07777) != 0) errno = 0;
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t put = ::write(descriptor_, bytes.data(), std::min(bytes.size(), largest_write));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) fail_with_errno("cannot write", put < 0 ? errno : ENOSPC);
    bytes = bytes.subspan(static_cast<size_t>(put));
    size_ += static_cast<uint64_t>(put);
  }
}

void AtomicFile::check_stop() {
  require<Cancelled>(!StopScope::current().stop_requested(), "[save] stopped on request.");
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span<const char>(text.data(), text.size())));
}

void AtomicFile::filled_by_name() {
  ::close(descriptor_);
  descriptor_ = ::open(temporary_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor_ < 0) fail_with_errno("cannot open the temporary file", errno);
  struct stat st {};
  if (::fstat(descriptor_, &st) != 0) fail_with_errno("cannot look at the size", errno);
  size_ = static_cast<uint64_t>(st.st_size);
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail_with_errno("cannot sync", errno);
  struct stat st {};
  if (::fstat(descriptor_, &st) != 0) fail_with_errno("cannot look at the size", errno);
  require<FileError>(static_cast<uint64_t>(st.st_size) == size_,
                     "[save] {}: {} bytes were written but the file has {}. Something else writes "
                     "to it; the old file was kept.",
                     shown_, size_, st.st_size);
  int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0) fail_with_errno("cannot close", errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail_with_errno("cannot rename", errno);
  temporary_.clear();
  // The rename is durable once the folder is; some file systems cannot sync one, and say EINVAL.
  int folder = ::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  int synced = ::fsync(folder), error = errno;
  ::close(folder);
  if (synced != 0 && error != EINVAL && error != EBADF)
    fail<FileError>("[save] {}: the file is in place, but its folder cannot be synced: {}.", shown_,
                    std::strerror(error));
}

void AtomicFile::fail_with_errno(const char* what, int error) const {
  const char* advice = error == ENOSPC || error == EDQUOT ? " Free some space." : "";
  fail<FileError>("[save] {}: {} (byte {}): {}.{} The old file, if there was one, was kept.",
                  shown_, what, size_, std::strerror(error), advice);
}

}  // namespace tarn::io
