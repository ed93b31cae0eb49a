// One file of a model on its way into the cache: continued where it ended, hashed as it comes,
// given its name when the hash is right.
#pragma once

#include <atomic>
#include <filesystem>
#include <optional>
#include <string>

#include "lm/hub/blob_lock.h"
#include "lm/hub/digest.h"
#include "lm/hub/http.h"
#include "lm/hub/layout.h"

namespace tarn::lm::hub {

// What is downloaded of one model.
struct Source {
  const HubOptions& options;
  std::string id{}, commit{};
  Layout layout;
};

class BlobDownload {
 public:
  // `got` is the number of bytes that are there, for whoever shows progress. All must outlive this.
  BlobDownload(const Source& source, const HubFile& file, HttpClient& http,
               std::atomic<uint64_t>& got);
  ~BlobDownload();
  BlobDownload(const BlobDownload&) = delete;
  BlobDownload& operator=(const BlobDownload&) = delete;

  // Waits while another process brings the file. Throws HubError, and Cancelled after a stop.
  void run();

 private:
  void wait_for_lock();
  void open_part();
  void hash_part();
  void start_over();
  void attempt();
  void check_head(const HttpResponse& response);
  void check_origin(const HttpResponse& response) const;
  bool is_continuation(const HttpResponse& response) const;
  void write(std::string_view bytes);
  void check_hash();
  void put_in_place();
  void remember_etag(const HttpResponse& response);
  void check_stop() const;

  const Source& source_;
  const HubFile& file_;
  HttpClient& http_;
  std::atomic<uint64_t>& got_;
  BlobLock lock_;
  Digest digest_;
  int descriptor_ = -1;
  uint64_t size_ = 0;      // bytes in the part, all of them hashed
  uint64_t received_ = 0;  // over the network, by all attempts
  uint64_t unsynced_ = 0;
  int wrong_hashes_ = 0;
  std::string etag_{};
};

}  // namespace tarn::lm::hub
