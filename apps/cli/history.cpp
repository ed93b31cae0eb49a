#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>

#include "line_editor.h"
#include "terminal.h"

namespace tarn::cli {
namespace {

namespace fs = std::filesystem;

constexpr off_t max_read_bytes = 4 << 20;  // of the file's end; what lies before is old

// One entry a line: newlines and backslashes of the entry are written as \n and \\.
std::string escaped(std::string_view text) {
  std::string line;
  for (char c : text) {
    if (c == '\\' || c == '\n') line += '\\';
    line += c == '\n' ? 'n' : c;
  }
  return line += '\n';
}

std::string unescaped(std::string_view line) {
  std::string text;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size()) {
      ++i;
      text += line[i] == 'n' ? '\n' : line[i];
    } else {
      text += line[i];
    }
  }
  return text;
}

// An open file, locked against other programs of ours until it goes.
class LockedFile {
 public:
  LockedFile(const fs::path& path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {
    struct stat info {};
    if (fd_ >= 0 && (fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode))) {
      close(fd_);
      fd_ = -1;
    }
    if (fd_ >= 0) flock(fd_, LOCK_EX);
  }
  ~LockedFile() {
    if (fd_ >= 0) close(fd_);
  }
  LockedFile(const LockedFile&) = delete;
  LockedFile& operator=(const LockedFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

bool write_text(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t written = write(fd, text.data(), text.size());
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

// The last max_read_bytes of the file, from the beginning of a line on.
std::string tail(int fd) {
  off_t size = lseek(fd, 0, SEEK_END);
  off_t from = std::max<off_t>(0, size - max_read_bytes);
  std::string text(static_cast<size_t>(std::max<off_t>(0, size - from)), '\0');
  ssize_t got = pread(fd, text.data(), text.size(), from);
  text.resize(static_cast<size_t>(std::max<ssize_t>(0, got)));
  if (from > 0) text.erase(0, text.find('\n') + 1);
  return text;
}

bool is_worth_keeping(std::string_view text) {
  return text.size() <= History::max_entry_bytes &&
         text.find_first_not_of(" \t\n") != std::string_view::npos &&
         text.find('\0') == std::string_view::npos && is_utf8(text);
}

}  // namespace

fs::path history_file() {
  if (const char* file = std::getenv("TARN_HISTORY")) return file;
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state && *state) return fs::path(state) / "tarn/history";
  const char* home = std::getenv("HOME");
  return home && *home ? fs::path(home) / ".local/state/tarn/history" : fs::path();
}

History::History(fs::path file) : file_(std::move(file)) {
  if (!file_.empty()) load();
}

void History::load() {
  size_t lines = 0;
  {
    LockedFile file(file_, O_RDONLY | O_NONBLOCK);
    if (file.fd() < 0) return;
    std::string text = tail(file.fd());
    std::string_view rest = text;
    while (!rest.empty()) {
      size_t end = std::min(rest.find('\n'), rest.size());
      std::string entry = unescaped(rest.substr(0, end));
      if (is_worth_keeping(entry)) entries_.push_back(std::move(entry));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      ++lines;
    }
  }
  if (entries_.size() > max_entries) {
    entries_.erase(entries_.begin(), entries_.end() - max_entries);
  }
  if (lines > max_entries) rewrite();
}

void History::rewrite() const {
  fs::path fresh = file_;
  fresh += "." + std::to_string(getpid()) + ".new";
  bool is_written = false;
  {
    LockedFile file(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW);
    if (file.fd() < 0) return;
    std::string text;
    for (const std::string& entry : entries_) text += escaped(entry);
    is_written = write_text(file.fd(), text) && fsync(file.fd()) == 0;
  }
  std::error_code error;
  if (is_written) fs::rename(fresh, file_, error);
  if (!is_written || error) fs::remove(fresh, error);
}

bool History::add(std::string_view text) {
  if (!is_worth_keeping(text) || (!entries_.empty() && entries_.back() == text)) return false;
  entries_.emplace_back(text);
  if (entries_.size() > max_entries) entries_.erase(entries_.begin());
  if (file_.empty()) return true;
  std::error_code error;
  fs::path folder = file_.parent_path();
  if (!folder.empty() && fs::create_directories(folder, error)) {
    fs::permissions(folder, fs::perms::owner_all, error);
  }
  LockedFile file(file_, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK);
  if (file.fd() >= 0) write_text(file.fd(), escaped(text));
  return true;
}

}  // namespace tarn::cli
