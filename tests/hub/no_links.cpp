// Preloaded: a disk without symbolic links and flock; hard links only where HARD_LINKS is 1.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

extern "C" {

int symlink(const char*, const char*) noexcept {
  errno = EPERM;
  return -1;
}

int link(const char* from, const char* to) noexcept {
  const char* allowed = std::getenv("HARD_LINKS");
  if (allowed && *allowed == '1') return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
  errno = EPERM;
  return -1;
}

int flock(int, int) noexcept {
  errno = ENOSYS;
  return -1;
}

}  // extern "C"
