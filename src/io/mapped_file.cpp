#include "io/mapped_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/file.h"
#include "base/printable.h"
#include "base/require.h"
#include "io/fresh_array.h"
#include "tarn/io.h"

namespace tarn {
namespace io {
namespace {

constexpr size_t slack = 64;

// What name_of_mapped_file looks through. It runs inside a signal handler, so the table is fixed
// and holds nothing but atomics; files beyond it are mapped all the same, without a name.
struct MappedRange {
  std::atomic<bool> taken{false};
  std::atomic<const std::byte*> begin{nullptr}, end{nullptr};
  std::atomic<const char*> name{nullptr};
};
std::array<MappedRange, 1024> ranges;

int enter_range(const std::byte* begin, size_t bytes, const char* name) {
  for (size_t i = 0; i < ranges.size(); ++i) {
    auto& r = ranges[i];
    if (r.taken.exchange(true)) continue;
    r.name = name;
    r.end = begin + bytes;
    r.begin = begin;
    return static_cast<int>(i);
  }
  return -1;
}

void leave_range(int slot) {
  if (slot < 0) return;
  auto& r = ranges[static_cast<size_t>(slot)];
  r.begin = nullptr;
  r.end = nullptr;
  r.name = nullptr;
  r.taken = false;
}

// Address space for `bytes` and the slack after them, zero and private to this process.
std::byte* reserve(size_t bytes, int protection, const std::string& path) {
  void* p = ::mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require<DeviceError>(p != MAP_FAILED, "[load] {}: no memory for {} bytes: {}.",
                       printable(path, 4096), bytes, std::strerror(errno));
  return static_cast<std::byte*>(p);
}

}  // namespace

std::shared_ptr<const FileBytes> FileBytes::open(const std::string& path) {
  return std::shared_ptr<const FileBytes>(new FileBytes(path));
}

std::shared_ptr<const FileBytes> FileBytes::take(Reader* in) {
  require<FileError>(in && in->is_open() && in->good(), "[load] the reader is not open.");
  size_t from = in->tell();
  in->seek(0, std::ios_base::end);
  size_t end = in->tell();
  in->seek(static_cast<int64_t>(from));
  return std::shared_ptr<const FileBytes>(new FileBytes(*in, end - std::min(from, end)));
}

FileBytes::FileBytes(Reader& in, size_t bytes) : path_(in.label()), size_(bytes) {
  auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  reserved_ = (size_ + slack + page - 1) / page * page;
  data_ = reserve(reserved_, PROT_READ | PROT_WRITE, path_);
  try {
    in.read(reinterpret_cast<char*>(data_), size_);
  } catch (...) {
    ::munmap(data_, reserved_);
    throw;
  }
}

FileBytes::FileBytes(const std::string& path) : path_(path) {
  InputFile file(path);
  require<FileError>(file.size() < (uint64_t{1} << 46), "[load] {}: the file has {} bytes.",
                     printable(path, 4096), file.size());
  size_ = static_cast<size_t>(file.size());
  auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  // Whole pages, so that the slack lies in the file's zero-filled tail or in an anonymous page.
  reserved_ = (size_ + slack + page - 1) / page * page;
  mapped_ = file.only_ours() && size_ > 0;
  data_ = reserve(reserved_, mapped_ ? PROT_READ : PROT_READ | PROT_WRITE, path);
  try {
    if (mapped_) {
      void* p = ::mmap(data_, size_, PROT_READ, MAP_PRIVATE | MAP_FIXED, file.descriptor(), 0);
      require<FileError>(p != MAP_FAILED, "[load] {}: cannot map the file: {}.",
                         printable(path, 4096), std::strerror(errno));
      require<FileError>(file.size_now() == file.size(),
                         "[load] {}: the file changed its size while it was opened. Something is "
                         "writing to it; load it again when that is done.",
                         printable(path, 4096));
      slot_ = enter_range(data_, size_, path_.c_str());
    } else {
      file.read(data_, size_, 0);
      ::mprotect(data_, reserved_, PROT_READ);
    }
  } catch (...) {
    ::munmap(data_, reserved_);
    throw;
  }
}

FileBytes::~FileBytes() {
  leave_range(slot_);
  ::munmap(data_, reserved_);
}

array alias(const std::shared_ptr<const FileBytes>& file, std::span<const std::byte> bytes,
            const Shape& shape, Dtype dtype) {
  auto address = reinterpret_cast<std::uintptr_t>(bytes.data());
  bool aligned = address % dtype.size == 0;
  if (!bytes.empty() && aligned && (dtype != bool_ || all_bools(bytes)))
    return array(const_cast<std::byte*>(bytes.data()), shape, dtype, [file](void*) {});
  FreshArray copy(shape, dtype);
  if (!bytes.empty()) std::memcpy(copy.data(), bytes.data(), bytes.size());
  if (dtype == bool_) make_bools({copy.data(), bytes.size()});
  return copy.take();
}

bool all_bools(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b <= std::byte{1}; });
}

void make_bools(std::span<std::byte> bytes) {
  for (auto& b : bytes) b = b == std::byte{0} ? b : std::byte{1};
}

void refuse_placeholder(std::span<const std::byte> bytes, const std::string& file) {
  std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                        std::min<size_t>(bytes.size(), 64));
  require<FileError>(!text.starts_with("version https://git-lfs"),
                     "[load] {}: this is a Git LFS pointer, not the data itself. Run `git lfs "
                     "pull` where it came from.",
                     printable(file, 4096));
  bool page = text.starts_with("<!DOCTYPE") || text.starts_with("<!doctype") ||
              text.starts_with("<html") || text.starts_with("<HTML");
  require<FileError>(!page,
                     "[load] {}: this is a web page, probably an error message that was saved in "
                     "place of the file. Fetch it again.",
                     printable(file, 4096));
}

}  // namespace io

const char* name_of_mapped_file(const void* address) noexcept {
  auto* at = static_cast<const std::byte*>(address);
  for (auto& r : io::ranges)
    if (const auto* begin = r.begin.load(); begin && at >= begin && at < r.end.load())
      return r.name.load();
  return nullptr;
}

}  // namespace tarn
