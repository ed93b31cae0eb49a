#include <zip.h>

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "base/printable.h"
#include "base/require.h"
#include "io/atomic_write.h"
#include "io/fresh_array.h"
#include "io/mapped_file.h"
#include "io/npy.h"
#include "io/row_major.h"
#include "tarn/io.h"

namespace tarn {
namespace {

constexpr zip_int64_t entry_limit = 65'535;
constexpr size_t name_limit = 4096;
// Deflate shrinks zeros about 1030 times. An entry that claims to grow more than 1000 times is read
// only while it stays small; all entries together may not claim more than deflate could give from
// the whole file, so that entries that share their bytes are found out.
constexpr uint64_t ratio_limit = 1000, small_entry = uint64_t{256} << 20, ratio_of_all = 1032;

struct ArchiveDiscard {
  void operator()(zip_t* z) const { zip_discard(z); }
};
using Archive = std::unique_ptr<zip_t, ArchiveDiscard>;

struct EntryClose {
  void operator()(zip_file_t* f) const { zip_fclose(f); }
};
using Entry = std::unique_ptr<zip_file_t, EntryClose>;

class NpzReader {
 public:
  explicit NpzReader(const std::string& path)
      : path_(path), shown_(printable(path, 4096)), file_(io::FileBytes::open(path)) {
    auto bytes = file_->bytes();
    io::refuse_placeholder(bytes, path);
    require<FileError>(!bytes.empty(), "[load] {}: the file is empty. Save it again.", shown_);
    zip_error_t error;
    zip_error_init(&error);
    zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
    if (source) archive_.reset(zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error));
    if (!archive_) {
      if (source) zip_source_free(source);
      std::string why = zip_error_strerror(&error);
      zip_error_fini(&error);
      fail<FileError>("[load] {}: this is no sound zip archive: {}. Save it again.", shown_, why);
    }
    zip_error_fini(&error);
  }

  std::unordered_map<std::string, array> read() {
    zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
    require<FileError>(count <= entry_limit, "[load] {}: {} entries, at most {} are read.", shown_,
                       count, entry_limit);
    std::unordered_map<std::string, array> arrays;
    for (zip_int64_t i = 0; i < count; ++i) {
      zip_stat_t st = look_at(static_cast<zip_uint64_t>(i));
      std::string name = st.name;
      if (name.ends_with(".npy")) name.resize(name.size() - 4);
      array a = read_entry(st);
      bool fresh = arrays.emplace(std::move(name), std::move(a)).second;
      require<FileError>(fresh, "[load] {}: the entry \"{}\" stands twice.", shown_,
                         printable(st.name));
    }
    return arrays;
  }

 private:
  zip_stat_t look_at(zip_uint64_t index) {
    zip_stat_t st;
    zip_stat_init(&st);
    int failed = zip_stat_index(archive_.get(), index, ZIP_FL_ENC_RAW, &st);
    constexpr zip_uint64_t needed =
        ZIP_STAT_NAME | ZIP_STAT_INDEX | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
    require<FileError>(failed == 0 && (st.valid & needed) == needed,
                       "[load] {}: entry {} is damaged: {}.", shown_, index,
                       zip_strerror(archive_.get()));
    std::string_view name = st.name;
    require<FileError>(name.size() <= name_limit, "[load] {}: entry {} has a name of {} bytes.",
                       shown_, index, name.size());
    bool encrypted = (st.valid & ZIP_STAT_ENCRYPTION_METHOD) && st.encryption_method != ZIP_EM_NONE;
    bool known = st.comp_method == ZIP_CM_STORE || st.comp_method == ZIP_CM_DEFLATE;
    if (encrypted || !known)
      refuse(st, encrypted ? "it is encrypted" : "only stored and deflated entries are read");
    total_ += std::min(st.size, UINT64_MAX - total_);
    bool bomb = st.size > small_entry && st.size / ratio_limit > st.comp_size;
    if (bomb || total_ / ratio_of_all > file_->bytes().size())
      refuse(st, fmt::format("{} bytes are said to unpack to {}, more than an honest archive would "
                             "hold; save the arrays without compression",
                             st.comp_size, st.size));
    return st;
  }

  array read_entry(const zip_stat_t& st) {
    Entry entry(zip_fopen_index(archive_.get(), st.index, 0));
    if (!entry) refuse(st, zip_strerror(archive_.get()));
    std::string where = fmt::format("{}[{}]", path_, st.name);
    std::vector<std::byte> front(std::min<uint64_t>(st.size, io::npy_front_bytes));
    fill(st, entry.get(), front);
    size_t whole = io::npy_header_bytes(front, where);
    if (whole > st.size) refuse(st, "it ends inside its .npy header");
    size_t have = front.size();
    if (whole < have) refuse(st, "its .npy header is too short");
    front.resize(whole);
    fill(st, entry.get(), std::span(front).subspan(have));
    auto header = io::parse_npy(front, where);
    if (header.data_bytes != st.size - whole)
      refuse(st, fmt::format("{} of shape ({}) needs {} bytes of numbers, {} are there",
                             name_of(header.dtype), joined(header.shape), header.data_bytes,
                             st.size - whole));
    io::FreshArray numbers(header.shape, header.dtype);
    std::span<std::byte> data(numbers.data(), header.data_bytes);
    fill(st, entry.get(), data);
    check_end(st, entry.get());
    if (header.dtype == bool_) io::make_bools(data);
    if (io::is_plain(header)) return numbers.take();
    io::FreshArray ordered(header.shape, header.dtype);
    io::normalise(header, data, ordered.data());
    return ordered.take();
  }

  void fill(const zip_stat_t& st, zip_file_t* entry, std::span<std::byte> to) {
    while (!to.empty()) {
      zip_int64_t got = zip_fread(entry, to.data(), to.size());
      if (got <= 0)
        refuse(st, got < 0 ? zip_error_strerror(zip_file_get_error(entry)) : "it is cut off");
      to = to.subspan(static_cast<size_t>(got));
    }
  }

  // Reading past the end makes libzip compare the checksum.
  void check_end(const zip_stat_t& st, zip_file_t* entry) {
    std::byte extra{};
    zip_int64_t got = zip_fread(entry, &extra, 1);
    if (got < 0) refuse(st, zip_error_strerror(zip_file_get_error(entry)));
    if (got > 0) refuse(st, "it is longer than it says");
  }

  [[noreturn]] void refuse(const zip_stat_t& st, std::string_view why) const {
    fail<FileError>("[load] {}: entry \"{}\": {}.", shown_, printable(st.name), why);
  }

  std::string path_, shown_;
  std::shared_ptr<const io::FileBytes> file_;
  Archive archive_;
  uint64_t total_ = 0;
};

// Adds entries to the archive at `path`, which libzip writes when it is closed.
class NpzWriter {
 public:
  explicit NpzWriter(const std::string& path) {
    int code = 0;
    archive_.reset(zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, &code));
    zip_error_t error;
    zip_error_init_with_code(&error, code);
    std::string why = zip_error_strerror(&error);
    zip_error_fini(&error);
    require<FileError>(archive_ != nullptr, "[save_npz] {}: {}.", printable(path, 4096), why);
  }

  // The array and the writer must stay until close().
  void add(const std::string& name, const array& a, bool compressed) {
    headers_.push_back(io::npy_header(a.shape(), a.dtype()));
    numbers_.emplace_back(a);
    auto bytes = numbers_.back().bytes();
    zip_buffer_fragment_t parts[] = {
        {reinterpret_cast<zip_uint8_t*>(headers_.back().data()), headers_.back().size()},
        {reinterpret_cast<zip_uint8_t*>(const_cast<std::byte*>(bytes.data())), bytes.size()}};
    zip_source_t* entry = zip_source_buffer_fragment(archive_.get(), parts, 2, 0);
    check(entry != nullptr);
    zip_int64_t at = zip_file_add(archive_.get(), name.c_str(), entry, ZIP_FL_ENC_UTF_8);
    if (at < 0) zip_source_free(entry);
    check(at >= 0);
    auto index = static_cast<zip_uint64_t>(at);
    auto method = compressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE;
    check(zip_set_file_compression(archive_.get(), index, method, 0) == 0);
    check(zip_file_set_dostime(archive_.get(), index, 0, january_1980, 0) == 0);
  }

  void close() {
    check(zip_close(archive_.get()) == 0);
    [[maybe_unused]] zip_t* closed = archive_.release();
  }

 private:
  // As NumPy stamps entries: the same arrays make the same file.
  static constexpr zip_uint16_t january_1980 = 0x21;

  void check(bool ok) {
    require<FileError>(ok,
                       "[save_npz] cannot write the archive: {}. The old file, if there was "
                       "one, was kept.",
                       zip_strerror(archive_.get()));
  }

  std::deque<std::string> headers_;
  std::deque<io::RowMajor> numbers_;
  Archive archive_;
};

// libzip writes no file at all for an archive without entries.
constexpr std::string_view empty_archive{"PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 22};

}  // namespace

std::unordered_map<std::string, array> load_npz(const std::string& file) {
  return NpzReader(file).read();
}

void save_npz(const std::string& file, const std::unordered_map<std::string, array>& arrays,
              bool compressed) {
  std::vector<std::pair<std::string, array>> ordered(arrays.begin(), arrays.end());
  std::sort(ordered.begin(), ordered.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  io::AtomicFile out(file);
  if (ordered.empty()) {
    out.write(empty_archive);
  } else {
    NpzWriter archive(out.temporary_path());
    for (const auto& [name, a] : ordered) archive.add(name + ".npy", a, compressed);
    archive.close();
    out.filled_by_name();
  }
  out.commit();
}

}  // namespace tarn
