// What is in a hub's cache on this disk: listed, checked, removed. Nothing here uses the network.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "tarn/lm/hub.h"

namespace tarn::lm {

struct CachedRevision {
  std::string commit{};
  std::vector<std::string> refs{};   // branches and tags that mean it: "main"
  std::filesystem::path path{};      // its snapshot folder
  std::vector<HubFile> files{};      // by name; the size is that on the disk
  std::vector<std::string> lacks{};  // files without which it cannot be loaded
  uint64_t bytes() const;
};

struct CachedModel {
  std::string id{};
  std::filesystem::path path{};  // models--org--name
  std::vector<CachedRevision> revisions{};
  uint64_t bytes = 0;               // on the disk: blobs and parts
  uint64_t part_bytes = 0;          // begun downloads
  uint64_t unreferenced_bytes = 0;  // blobs that belong to no revision
  int64_t modified = 0;             // the latest change, in seconds since 1970
};

// By id. A cache that does not exist is empty.
std::vector<CachedModel> list_cache(const std::filesystem::path& cache);
// Throws HubError (not_downloaded) that names a similar id where there is one.
CachedModel find_cached(const std::filesystem::path& cache, const std::string& id);

struct DamagedFile {
  std::filesystem::path blob{};
  std::vector<std::string> names{};  // the files that it is
  std::string problem{};             // "its SHA-256 is …" or "it is not there"
};

struct VerifyOptions {
  std::function<void(uint64_t done, uint64_t total)> progress{};
  std::stop_token stop{};
  bool remove_damaged = false;  // so that the next download brings them again
};
// Hashes every file of the model. Throws Cancelled after a stop.
std::vector<DamagedFile> verify_cached(const CachedModel& model, const VerifyOptions& options = {});

// Removes a model, or only the revision (a branch, a tag, or a commit or the beginning of one) and
// what no other revision needs. Returns the bytes that became free. Throws HubError when there is
// no such model or revision, or while it is being downloaded.
uint64_t remove_cached(const std::filesystem::path& cache, const std::string& id,
                       const std::string& revision = "");
// Removes begun downloads and what belongs to no revision.
uint64_t remove_unreferenced(const std::filesystem::path& cache, const std::string& id);

}  // namespace tarn::lm
