#include "lm/hub/blob_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "lm/hub/layout.h"

namespace tarn::lm::hub {
namespace {

bool is_same_file(int descriptor, const char* path) {
  struct stat open {
  }, there{};
  return ::fstat(descriptor, &open) == 0 && ::stat(path, &there) == 0 &&
         open.st_ino == there.st_ino && open.st_dev == there.st_dev;
}

}  // namespace

BlobLock::~BlobLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

bool BlobLock::try_to_take() {
  int descriptor = ::open(file_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor < 0) fail_on_disk(file_, "cannot make this lock", errno);
  bool is_ours = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
  int error = errno;
  // Somebody may have removed the file since it was opened: a lock on it would exclude nobody.
  if (is_ours && is_same_file(descriptor, file_.c_str())) {
    descriptor_ = descriptor;
    return true;
  }
  ::close(descriptor);
  if (!is_ours && error != EWOULDBLOCK && error != EINTR)
    fail_on_disk(file_, "cannot lock this file", error);
  return false;
}

bool BlobLock::is_taken(const std::filesystem::path& file) {
  int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (descriptor < 0) return false;
  bool is_free = ::flock(descriptor, LOCK_SH | LOCK_NB) == 0;
  int error = errno;
  ::close(descriptor);
  return !is_free && error == EWOULDBLOCK;
}

}  // namespace tarn::lm::hub
