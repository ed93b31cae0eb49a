#include "base/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

namespace tarn {
namespace {

// Tries the lock of a whole file: flock or, where the disk knows none, fcntl's lock of an open
// file. Nothing: somebody else has it; otherwise errno, or 0 when it is taken.
std::optional<int> lock_now(int descriptor, bool shared) {
  int error = ::flock(descriptor, (shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 ? 0 : errno;
  if (error == ENOSYS || error == EOPNOTSUPP || error == ENOLCK || error == EINVAL) {
    struct flock whole {};
    whole.l_type = static_cast<short>(shared ? F_RDLCK : F_WRLCK);
    whole.l_whence = SEEK_SET;
    error = ::fcntl(descriptor, F_OFD_SETLK, &whole) == 0 ? 0 : errno;
  }
  if (error == EWOULDBLOCK || error == EACCES || error == EINTR) return std::nullopt;
  return error;
}

bool is_same_file(int descriptor, const char* path) {
  struct stat open {
  }, there{};
  return ::fstat(descriptor, &open) == 0 && ::stat(path, &there) == 0 &&
         open.st_ino == there.st_ino && open.st_dev == there.st_dev;
}

}  // namespace

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool FileLock::try_to_take(const Fail& fail) {
  int descriptor = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor < 0) {
    fail("cannot make this lock", errno);
    return false;
  }
  std::optional<int> error = lock_now(descriptor, false);
  bool is_ours = error == 0;
  // Somebody may have removed the file since it was opened: a lock on it would exclude nobody.
  if (is_ours && is_same_file(descriptor, file_.c_str())) {
    descriptor_ = descriptor;
    return true;
  }
  ::close(descriptor);
  if (error && *error != 0) fail("cannot lock this file", *error);
  return false;
}

bool FileLock::is_taken(const std::filesystem::path& file) {
  int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return false;
  bool is_taken = !lock_now(descriptor, true);
  ::close(descriptor);
  return is_taken;
}

}  // namespace tarn
