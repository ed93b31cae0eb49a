#include "lm/hub/blob_download.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <fstream>
#include <thread>
#include <vector>

#include "base/file.h"
#include "lm/hub/listing.h"
#include "lm/hub/names.h"
#include "lm/hub/retry.h"

namespace tarn::lm::hub {
namespace {

constexpr size_t hash_block = size_t{1} << 20;
constexpr uint64_t sync_every = uint64_t{64} << 20;  // so that the sync at the end is short
constexpr auto lock_poll = std::chrono::milliseconds(20);
constexpr size_t longest_etag = 200;

bool is_strong_etag(std::string_view etag) {
  return etag.size() >= 2 && etag.size() <= longest_etag && etag.front() == '"' &&
         etag.back() == '"' &&
         std::all_of(etag.begin(), etag.end(), [](char c) { return c > 32 && c < 127; });
}

// "bytes 5-9/10" as 5, 9 and 10; nothing for anything else.
std::optional<std::array<uint64_t, 3>> parse_range(std::string_view text) {
  std::array<uint64_t, 3> numbers{};
  std::array<char, 3> after{'-', '/', '\0'};
  if (!text.starts_with("bytes ")) return std::nullopt;
  const char* at = text.data() + 6;
  const char* end = text.data() + text.size();
  for (size_t i = 0; i < 3; ++i) {
    auto [next, error] = std::from_chars(at, end, numbers[i]);
    if (error != std::errc() || (after[i] ? next == end || *next != after[i] : next != end))
      return std::nullopt;
    at = next + 1;
  }
  return numbers;
}

Failure wrong_content(std::string text, bool may_pass = false) {
  return {HubReason::content, std::move(text), may_pass};
}

}  // namespace

BlobDownload::BlobDownload(const Source& source, const HubFile& file, HttpClient& http,
                           std::atomic<uint64_t>& got)
    : source_(source),
      file_(file),
      http_(http),
      got_(got),
      lock_(source.layout.lock(file)),
      digest_(file) {}

BlobDownload::~BlobDownload() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  auto part = source_.layout.part(file_);
  if (regular_size(part) == 0) ::unlink(part.c_str());  // nothing to go on from
}

void BlobDownload::check_stop() const {
  require<Cancelled>(!http_.stop().stop_requested(), "[hub] stopped on request.");
}

void BlobDownload::run() {
  wait_for_lock();
  if (!source_.layout.has_blob(file_)) {
    open_part();
    hash_part();
    auto attempt_and_check = [this] {
      attempt();
      check_hash();
    };
    try_again(source_.options, http_.stop(),
              {source_.id + "/" + file_.name, attempt_and_check, [this] { return received_; }});
    put_in_place();
  }
  got_ = file_.bytes;
}

void BlobDownload::wait_for_lock() {
  while (!lock_.try_to_take()) {
    check_stop();
    if (source_.layout.has_blob(file_)) return;
    got_ = std::min(regular_size(source_.layout.part(file_)).value_or(0), file_.bytes);
    std::this_thread::sleep_for(lock_poll);
  }
}

void BlobDownload::open_part() {
  auto path = source_.layout.part(file_);
  descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor_ < 0) fail_on_disk(path, "cannot open", errno);
  struct stat st {};
  if (::fstat(descriptor_, &st) != 0) fail_on_disk(path, "cannot look at it", errno);
  if (!S_ISREG(st.st_mode)) fail_on_disk(path, "it is no regular file", EINVAL);
  if (static_cast<uint64_t>(st.st_size) > file_.bytes) start_over();
}

void BlobDownload::hash_part() {
  std::vector<char> block(static_cast<size_t>(std::min<uint64_t>(hash_block, file_.bytes + 1)));
  for (ssize_t n = 0;; digest_.add({block.data(), static_cast<size_t>(n)})) {
    check_stop();
    n = ::pread(descriptor_, block.data(), block.size(), static_cast<off_t>(size_));
    if (n < 0 && errno == EINTR)
      n = 0;
    else if (n < 0)
      fail_on_disk(source_.layout.part(file_), "cannot read", errno);
    else if (n == 0)
      break;
    size_ += static_cast<uint64_t>(n);
    got_ = size_;
  }
  std::ifstream tag(source_.layout.etag(file_));
  if (size_ == 0 || !std::getline(tag, etag_) || !is_strong_etag(etag_)) etag_.clear();
}

void BlobDownload::start_over() {
  if (::ftruncate(descriptor_, 0) != 0)
    fail_on_disk(source_.layout.part(file_), "cannot empty it", errno);
  ::unlink(source_.layout.etag(file_).c_str());
  digest_ = Digest(file_);
  etag_.clear();
  size_ = 0;
  got_ = 0;
}

void BlobDownload::attempt() {
  if (size_ == file_.bytes) return;
  std::string url = url_of(source_.options, source_.id, source_.commit, file_);
  http_.get({url, size_, etag_}, {[this](const HttpResponse& r) { check_head(r); },
                                  [this](std::string_view bytes) { write(bytes); }});
  if (size_ < file_.bytes)
    throw Failure{HubReason::network,
                  fmt::format("the answer ended after {} of {} bytes", size_, file_.bytes)};
}

void BlobDownload::check_head(const HttpResponse& r) {
  if (r.status == 416) {
    start_over();
    throw wrong_content("the hub cannot go on from where the part of it ends (416)", true);
  }
  if (r.status != 200 && r.status != 206) throw failure_of_status(r, source_.options, "file");
  check_origin(r);
  if (r.status == 206 && !is_continuation(r)) {
    uint64_t asked = size_;
    start_over();
    throw wrong_content(fmt::format("asked for the bytes from {} on, the hub sends \"{}\"", asked,
                                    printable(r.header("content-range"))),
                        true);
  }
  if (r.status == 200 && size_ > 0) start_over();
  uint64_t length = 0;
  const std::string& text = r.header("content-length");
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (!text.empty() && (error != std::errc() || length != file_.bytes - size_))
    throw wrong_content(fmt::format("the hub sends {} bytes, its list of files says {}",
                                    printable(text), file_.bytes - size_));
  if (r.status == 200) remember_etag(r);
}

// That it is the version that was listed, told before any byte of it is read.
void BlobDownload::check_origin(const HttpResponse& r) const {
  const std::string& coding = r.header("content-encoding");
  if (!coding.empty() && coding != "identity")
    throw wrong_content(fmt::format("it comes as {}, which was not asked for", printable(coding)));
  const std::string& commit = r.header("x-repo-commit");
  if (!commit.empty() && commit != source_.commit)
    throw wrong_content(fmt::format("the hub sends that of commit {}, not of {}", printable(commit),
                                    source_.commit));
  std::string linked = unquoted(r.header("x-linked-etag"));
  if (is_sha256(linked) && !file_.sha256.empty() && linked != file_.sha256)
    throw wrong_content(fmt::format("the hub now has the SHA-256 {}, its list of files says {}",
                                    linked, file_.sha256));
  std::string etag = linked.empty() ? unquoted(r.header("etag")) : linked;
  if (!file_.has_hash() && etag != file_.etag)
    throw wrong_content(fmt::format("the hub now sends the version \"{}\", not \"{}\"",
                                    printable(etag), file_.etag));
}

bool BlobDownload::is_continuation(const HttpResponse& r) const {
  auto range = parse_range(r.header("content-range"));
  return size_ > 0 && range && (*range)[0] == size_ && (*range)[1] + 1 == file_.bytes &&
         (*range)[2] == file_.bytes;
}

void BlobDownload::remember_etag(const HttpResponse& r) {
  etag_ = r.header("etag");
  if (!is_strong_etag(etag_)) return etag_.clear();
  std::ofstream(source_.layout.etag(file_)) << etag_;  // when it is lost, the hash still decides
}

void BlobDownload::write(std::string_view bytes) {
  if (bytes.size() > file_.bytes - size_) {
    start_over();
    throw wrong_content(
        fmt::format("the hub sends more than the {} bytes of its list of files", file_.bytes));
  }
  received_ += bytes.size();
  digest_.add(bytes);
  while (!bytes.empty()) {
    ssize_t put = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0)
      fail_on_disk(source_.layout.part(file_), "cannot write", put < 0 ? errno : ENOSPC);
    bytes.remove_prefix(static_cast<size_t>(put));
    size_ += static_cast<uint64_t>(put);
    unsynced_ += static_cast<uint64_t>(put);
  }
  got_ = size_;
  if (unsynced_ < sync_every) return;
  ::sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE);
  unsynced_ = 0;
}

void BlobDownload::check_hash() {
  if (!file_.has_hash()) return;  // its size and ETag were looked at
  std::string hash = digest_.hex();
  if (hash == file_.blob()) return;
  start_over();
  // Once more: the beginning may have been another version's, or damaged by a crash.
  throw wrong_content(
      fmt::format("its {} is {}, {} was promised", hash_name(file_), hash, file_.blob()),
      wrong_hashes_++ == 0);
}

void BlobDownload::put_in_place() {
  auto part = source_.layout.part(file_), blob = source_.layout.blob(file_);
  if (::fsync(descriptor_) != 0) fail_on_disk(part, "cannot sync", errno);
  ::unlink(source_.layout.etag(file_).c_str());  // first: after a crash nobody would
  if (::rename(part.c_str(), blob.c_str()) != 0) fail_on_disk(blob, "cannot rename to this", errno);
  sync_folder(source_.layout.blobs());
}

}  // namespace tarn::lm::hub
