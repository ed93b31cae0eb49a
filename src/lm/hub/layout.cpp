#include "lm/hub/layout.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "io/atomic_write.h"
#include "lm/hub/names.h"

namespace tarn::lm::hub {
namespace {

namespace fs = std::filesystem;

bool is_link(const fs::path& path) {
  std::error_code error;
  return fs::is_symlink(fs::symlink_status(path, error));
}

// What a disk without such links answers: FAT, exFAT and some network shares.
bool knows_no_links(int error) {
  return error == EPERM || error == ENOSYS || error == EOPNOTSUPP || error == EINVAL;
}

bool sync_file(const fs::path& path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return false;
  bool is_done = ::fsync(descriptor) == 0;
  int error = errno;
  ::close(descriptor);
  errno = error;
  return is_done;
}

// A symbolic link to `to` or, where there is no such thing, another name of the blob or a copy.
void make_link(const fs::path& to, const fs::path& blob, const fs::path& link) {
  if (::symlink(to.c_str(), link.c_str()) == 0) return;
  if (!knows_no_links(errno)) fail_on_disk(link, "cannot make a symbolic link", errno);
  if (::link(blob.c_str(), link.c_str()) == 0) return;
  std::error_code error;
  if (fs::copy_file(blob, link, error) && sync_file(link)) return;
  int why = error ? error.value() : errno;
  ::unlink(link.c_str());
  fail_on_disk(link, "cannot make a copy, nor a link", why);
}

}  // namespace

void fail_on_disk(const fs::path& path, std::string_view what, int error) {
  std::string_view advice = "Check the disk.";
  if (error == ENOSPC || error == EDQUOT) {
    advice = "Free some space, or set HF_HUB_CACHE to a folder on another disk.";
  } else if (error == EACCES || error == EPERM || error == EROFS) {
    advice = "Give this user the right to write there, or set HF_HUB_CACHE to another folder.";
  }
  refuse(HubReason::disk, "[hub] {}: {}: {}. {}", printable(path.string(), 4096), what,
         std::strerror(error), advice);
}

fs::path make_real_folders(const fs::path& base, const fs::path& below) {
  fs::path at = base;
  for (const fs::path& part : below) {
    at /= part;
    if (::mkdir(at.c_str(), 0777) != 0 && errno != EEXIST)
      fail_on_disk(at, "cannot make this folder", errno);
    struct stat st {};
    if (::lstat(at.c_str(), &st) != 0) fail_on_disk(at, "cannot look at this folder", errno);
    if (!S_ISDIR(st.st_mode))
      refuse(HubReason::disk,
             "[hub] {} is {}, where a folder of the cache belongs. Nothing was written; remove it.",
             printable(at.string(), 4096), S_ISLNK(st.st_mode) ? "a symbolic link" : "no folder");
  }
  return at;
}

uint64_t free_bytes(const fs::path& folder) {
  fs::path at = folder;
  struct statvfs disk {};
  while (::statvfs(at.c_str(), &disk) != 0) {
    if (errno != ENOENT || at == at.parent_path())
      fail_on_disk(at, "cannot ask for its space", errno);
    at = at.parent_path();
  }
  return uint64_t{disk.f_bavail} * disk.f_frsize;
}

std::optional<uint64_t> regular_size(const fs::path& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode)) return std::nullopt;
  return static_cast<uint64_t>(st.st_size);
}

void sync_folder(const fs::path& folder) {
  int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return;
  ::fsync(descriptor);
  ::close(descriptor);
}

Layout::Layout(const fs::path& cache, const std::string& id) : cache_(cache) {
  check_id(id);
  root_ = cache / folder_of_id(id);
  locks_ = cache / ".locks" / folder_of_id(id);
}

fs::path Layout::part(const HubFile& f) const { return blobs() / (f.blob() + ".incomplete"); }
fs::path Layout::etag(const HubFile& f) const { return blobs() / (f.blob() + ".etag"); }
fs::path Layout::lock(const HubFile& f) const { return locks_ / (f.blob() + ".lock"); }

void Layout::make_folders() const {
  std::error_code error;
  fs::create_directories(cache_, error);
  if (error) fail_on_disk(cache_, "cannot make this folder", error.value());
  make_real_folders(cache_, fs::path(root_.filename()) / "blobs");
  make_real_folders(cache_, fs::path(".locks") / root_.filename());
}

bool Layout::has_blob(const HubFile& file) const { return regular_size(blob(file)) == file.bytes; }

std::optional<std::string> Layout::commit_of(const std::string& revision) const {
  check_revision(revision);
  if (is_commit(revision)) return revision;
  constexpr uint64_t longest_ref = 64;
  fs::path ref = refs() / revision;
  auto size = regular_size(ref);
  if (!size || *size > longest_ref) return std::nullopt;
  std::string commit = read_text(ref.string(), longest_ref);
  while (commit.ends_with('\n')) commit.pop_back();
  if (!is_commit(commit)) return std::nullopt;
  return commit;
}

void Layout::write_ref(const std::string& revision, const std::string& commit) const {
  if (revision == commit || commit_of(revision) == commit) return;
  fs::path name = fs::path("refs") / revision;
  fs::path folder = make_real_folders(root_, name.parent_path());
  fs::path file = folder / name.filename();
  if (is_link(file) && ::unlink(file.c_str()) != 0) fail_on_disk(file, "cannot replace", errno);
  try {
    io::AtomicFile out(file.string());
    out.write(commit);
    out.commit();
  } catch (const FileError& error) {
    throw HubError(HubReason::disk, error.what());
  }
}

bool Layout::is_linked(const std::string& commit, const HubFile& file) const {
  std::error_code error;
  fs::path at = snapshot(commit) / file.name;
  return fs::read_symlink(at, error).filename() == file.blob() || regular_size(at) == file.bytes;
}

void Layout::link(const std::string& commit, const HubFile& file) const {
  fs::path name = fs::path("snapshots") / commit / file.name;
  fs::path folder = make_real_folders(root_, name.parent_path());
  fs::path at = folder / name.filename();
  fs::path to = fs::path("blobs") / file.blob();
  for (auto part = name.begin(); std::next(part) != name.end(); ++part) to = ".." / to;
  std::error_code error;
  if (fs::read_symlink(at, error) == to) return;
  static std::atomic<unsigned> counter{0};
  fs::path temporary = folder / fmt::format(".{}-{}.link", ::getpid(), counter++);
  ::unlink(temporary.c_str());
  make_link(to, blob(file), temporary);
  if (::rename(temporary.c_str(), at.c_str()) != 0) {
    int why = errno;
    ::unlink(temporary.c_str());
    fail_on_disk(at, "cannot put a link to its content here", why);
  }
  sync_folder(folder);
}

}  // namespace tarn::lm::hub
