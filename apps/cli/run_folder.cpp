#include "run_folder.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "arguments.h"
#include "base/file.h"
#include "base/printable.h"
#include "base/require.h"

namespace tarn::cli {

namespace fs = std::filesystem;

namespace {

constexpr const char* lock_name = "run.lock";

bool made(const std::string& folder, const char* verb) {
  if (folder.empty()) throw UsageError("--out is empty; it needs the name of a folder.");
  return make_folder(folder, verb);
}

// " (process 1234)", or nothing where it has not written its number yet.
std::string holder_of(const fs::path& lock) {
  std::ifstream in(lock);
  int64_t process = 0;
  return in >> process ? fmt::format(" (process {})", process) : "";
}

}  // namespace

RunFolder::RunFolder(const std::string& folder, const char* verb)
    : was_made_(made(folder, verb)), lock_(fs::path(folder) / lock_name) {
  std::string shown = printable(folder, 4096);
  bool is_ours = lock_.try_to_take([&](const char*, int error) {
    fail<FileError>(
        "[{}] {}: no file can be written in this folder: {}. Give this user the right to write, "
        "or take another folder by --out.",
        verb, shown, std::strerror(error));
  });
  require<FileError>(is_ours,
                     "[{}] {}: another run{} is at work in this folder. Wait until it has ended, "
                     "or take another folder by --out.",
                     verb, shown, holder_of(lock_.file()));
  std::string process = std::to_string(getpid()) + "\n";
  bool is_written = ftruncate(lock_.descriptor(), 0) == 0 &&
                    pwrite(lock_.descriptor(), process.data(), process.size(), 0) > 0;
  require<FileError>(is_written, "[{}] {}: cannot be written: {}. Is the disk full?", verb,
                     printable(lock_.file().string(), 4096), std::strerror(errno));
}

RunFolder::~RunFolder() {
  std::error_code ignored;
  fs::remove(lock_.file(), ignored);
  // Not where something is in it.
  if (was_made_) rmdir(lock_.file().parent_path().c_str());
}

bool RunFolder::is_empty() const {
  std::error_code error;
  fs::directory_iterator files(lock_.file().parent_path(), error);
  return std::all_of(begin(files), end(files),
                     [](const auto& entry) { return entry.path().filename() == lock_name; });
}

}  // namespace tarn::cli
