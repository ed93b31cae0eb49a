// Models by name: found in the cache, downloaded from a hub when missing, checked before use.
//
// The cache is Hugging Face's (models--org--name/{blobs,refs,snapshots}): what other programs put
// there is used, and they can use what is put there. A download goes on where an earlier one ended,
// a file gets its name only when its hash is right, and nothing is written outside the cache.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/error.h"

namespace tarn::lm {

// Why a model is not there.
enum class HubReason : uint8_t {
  none,
  bad_name,        // an id, revision or file name that cannot be one
  not_found,       // the hub has no such model, revision or file
  not_allowed,     // the hub wants a token, or one with more rights
  not_downloaded,  // nothing of it, or not all of it, is in the cache
  offline,         // it is not in the cache and the hub must not be asked
  network,         // no connection, or none that lasts
  server,          // the hub answered with an error
  content,         // what the hub sent is not what it promised
  disk,            // no room, or a folder that cannot be written
  busy             // another process is using it
};

struct HubError : detail::ErrorOf<std::runtime_error> {
  HubError(HubReason reason, const std::string& text) : ErrorOf(text), reason_(reason) {}
  HubReason reason() const { return reason_; }
  // The same call may succeed later, without another name or token.
  bool can_retry() const { return reason_ >= HubReason::network; }

 private:
  HubReason reason_ = HubReason::none;
};

// What is left empty or unset comes from the environment, when a client is made. Proxies are those
// of http_proxy, https_proxy and no_proxy.
struct HubOptions {
  std::string endpoint{};              // $HF_ENDPOINT, or https://huggingface.co
  std::optional<std::string> token{};  // $HF_TOKEN, or the file $HF_TOKEN_PATH or $HF_HOME/token
  std::filesystem::path cache{};       // $HF_HUB_CACHE, or $HF_HOME/hub, or
                                       // ~/.cache/huggingface/hub
  std::optional<bool> offline{};       // $HF_HUB_OFFLINE
  int parallelism = 4;                 // files at a time, 1 to 16
  int retries = 5;                     // after errors that may pass
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds stall_timeout{30'000};  // this long with less than 1 KiB/s
  std::chrono::milliseconds retry_delay{1'000};     // doubles each time, up to 30 s
  // Called when the hub is asked once more what it has: what went wrong, and after how many
  // seconds. Not for downloads, whose progress shows.
  std::function<void(const std::string& failure, double seconds)> on_retry{};
};

// Of all files of a model together; what was there already counts as done.
struct DownloadProgress {
  uint64_t bytes_done = 0, bytes_total = 0;  // a total of 0 is not known yet
  uint64_t bytes_at_start = 0;               // of those done: what was there when it began
  int files_done = 0, files_total = 0;
  double bytes_per_second = -1, seconds_left = -1;  // negative: not known yet
};

struct FetchOptions {
  // Called on the calling thread: at the beginning, about ten times a second, and at the end.
  std::function<void(const DownloadProgress&)> progress{};
  // Cancelled is thrown within 50 ms of a request, or when a disk that is writing answers; what has
  // come is kept and continued next time.
  std::stop_token stop{};
  // Asks the hub what the revision is now. Without it, a model that is whole in the cache is used
  // as it is, and nothing goes over the network.
  bool use_latest = false;
};

// A file of a model at one commit. One of the hashes is set, in lower-case hexadecimal; of a mirror
// that tells none, `etag` is what it calls the content, and only that and the size can be checked.
struct HubFile {
  std::string name{};      // with its folders: "onnx/model.onnx"
  uint64_t bytes = 0;      // its size
  std::string sha256{};    // of the content
  std::string git_sha1{};  // of "blob SIZE\0" and the content
  std::string etag{};

  bool has_hash() const { return !sha256.empty() || !git_sha1.empty(); }
  // The name of its content in the cache.
  const std::string& blob() const {
    return !sha256.empty() ? sha256 : !git_sha1.empty() ? git_sha1 : etag;
  }
  friend bool operator==(const HubFile&, const HubFile&) = default;
};

struct HubListing {
  std::string id{}, commit{};
  std::vector<HubFile> files{};
};

// Which model, and where it comes from.
struct ModelConfiguration {
  std::string id{};                   // "org/name"
  std::string revision = "main";      // a branch, a tag or a commit of 40 hexadecimal digits
  std::string file{};                 // one file alone, as "model-Q4_K_M.gguf"; may have * and ?
  std::filesystem::path directory{};  // when set, the model is here and the rest does not count
  // A pin, as HubClient::pin makes it: exactly these files of this commit.
  std::string commit{};
  std::vector<HubFile> files{};
  // What ends an answer besides what the model's files say: tokens by their text, "<|im_end|>", and
  // other texts.
  std::vector<std::string> extra_eos_tokens{}, stop_strings{};

  // "org/name", "org/name@revision", "org/name/file.gguf" or "org/name/file.gguf@revision"; a path
  // of something that exists becomes `directory`. Throws HubError (bad_name).
  static ModelConfiguration parse(std::string_view text);
  // What to call it: the last part of the id, or of the directory.
  std::string name() const;
  friend bool operator==(const ModelConfiguration&, const ModelConfiguration&) = default;
};

// Whether a model can be loaded now, as a value to show.
struct Availability {
  enum class State : uint8_t { available, downloading, unavailable };
  State state = State::unavailable;
  std::filesystem::path path{};        // available: what load() takes
  DownloadProgress progress{};         // otherwise: how much of it is there
  HubReason reason = HubReason::none;  // unavailable: why,
  std::string message{};               // in one sentence,
  bool can_retry = false;              // and whether trying (again) may help
};

// A model on its way, downloaded by a thread of its own. Copies are the same download; any thread
// may ask. When the last copy goes, it is stopped and what has come is kept.
class Download {
 public:
  struct Impl;
  explicit Download(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  Availability state() const;
  // Waits for the end: its state is then available or unavailable. Does not throw.
  Availability wait() const;
  // Begins again after it failed or was cancelled; otherwise does nothing.
  void retry() const;
  // Stops it; state() is then unavailable and can be retried.
  void cancel() const;

 private:
  std::shared_ptr<Impl> impl_;
};

// A connection to a hub with its cache. Cheap to copy; any thread may use any copy, and any number
// of processes may download into the same cache: one brings a file and the others wait for it.
class HubClient {
 public:
  // Throws HubError for options that cannot be.
  explicit HubClient(HubOptions options = {});
  // The one made from the environment at its first use.
  static const HubClient& shared();

  // With everything filled in.
  const HubOptions& options() const;

  // A folder with the files of the revision that match a pattern. * and ? stand for anything but a
  // slash; a pattern without a slash means files of the top folder. Without patterns, with the
  // files that a language model needs: configurations, tokenizer, chat template, safetensors.
  // Throws HubError, and Cancelled after a stop.
  std::filesystem::path snapshot(const std::string& id, const std::string& revision = "main",
                                 const std::vector<std::string>& patterns = {},
                                 const FetchOptions& options = {}) const;
  // What load() takes: the directory, the snapshot, or the one file of it that was asked for.
  std::filesystem::path fetch(const ModelConfiguration& model,
                              const FetchOptions& options = {}) const;
  // The same on a thread of its own.
  Download start(const ModelConfiguration& model, bool use_latest = false) const;

  // Without the network: whether fetch() would find it in the cache.
  Availability availability(const ModelConfiguration& model) const;
  // Asks the hub which files a revision has.
  HubListing list(const std::string& id, const std::string& revision = "main",
                  std::stop_token stop = {}) const;
  // The configuration with the commit that the revision is now, and its files with their hashes.
  ModelConfiguration pin(const ModelConfiguration& model, std::stop_token stop = {}) const;

  struct Impl;

 private:
  std::shared_ptr<const Impl> impl_;
};

}  // namespace tarn::lm
