#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/file.h"
#include "lm/hub/digest.h"
#include "lm/hub/layout.h"
#include "lm/hub/names.h"
#include "tarn/lm/hub_cache.h"

namespace tarn::lm {

using namespace hub;
namespace fs = std::filesystem;

namespace {

constexpr size_t block_bytes = size_t{1} << 20;

// Every blob that some revision needs, with the names it has there.
struct Blob {
  HubFile file{};
  std::vector<std::string> names{};
};

std::map<std::string, Blob> blobs_of(const CachedModel& model) {
  std::map<std::string, Blob> blobs;
  for (const CachedRevision& r : model.revisions)
    for (const HubFile& f : r.files) {
      if (!f.has_hash()) continue;  // of a mirror without hashes, or no link: nothing says it
      Blob& blob = blobs[f.blob()];
      blob.file = f;
      if (blob.names.empty() || blob.names.back() != f.name) blob.names.push_back(f.name);
    }
  return blobs;
}

class Verifier {
 public:
  Verifier(const CachedModel& model, const VerifyOptions& options)
      : folder_(model.path / "blobs"), options_(options) {}

  std::vector<DamagedFile> run(const std::map<std::string, Blob>& blobs) {
    for (const auto& [hash, blob] : blobs) total_ += blob.file.bytes;
    std::vector<DamagedFile> damaged;
    for (const auto& [hash, blob] : blobs) {
      std::string problem = problem_of(blob.file);
      if (problem.empty()) continue;
      if (options_.remove_damaged) ::unlink((folder_ / hash).c_str());
      damaged.push_back({folder_ / hash, blob.names, problem});
    }
    return damaged;
  }

 private:
  std::string problem_of(HubFile file) {
    fs::path path = folder_ / file.blob();
    auto size = regular_size(path);
    if (!size) return "it is not there";
    file.bytes = *size;
    try {
      std::string hash = hash_of(file, path);
      return hash == file.blob() ? "" : fmt::format("its {} is {}", hash_name(file), hash);
    } catch (const FileError& error) {
      return error.what();
    }
  }

  std::string hash_of(const HubFile& file, const fs::path& path) {
    InputFile in(path.string());
    Digest digest(file);
    std::string block;
    for (uint64_t at = 0; at < file.bytes; at += block.size()) {
      require<Cancelled>(!options_.stop.stop_requested(), "[hub] stopped on request.");
      block.resize(static_cast<size_t>(std::min<uint64_t>(block_bytes, file.bytes - at)));
      in.read(block.data(), block.size(), at);
      digest.add(block);
      done_ += block.size();
      if (options_.progress) options_.progress(done_, total_);
    }
    return digest.hex();
  }

  fs::path folder_;
  const VerifyOptions& options_;
  uint64_t done_ = 0, total_ = 0;
};

}  // namespace

std::vector<DamagedFile> verify_cached(const CachedModel& model, const VerifyOptions& options) {
  return Verifier(model, options).run(blobs_of(model));
}

}  // namespace tarn::lm
