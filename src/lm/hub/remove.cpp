#include <algorithm>
#include <set>

#include "lm/hub/blob_lock.h"
#include "lm/hub/layout.h"
#include "lm/hub/names.h"
#include "lm/hub/select.h"
#include "tarn/lm/hub_cache.h"

namespace tarn::lm {

using namespace hub;
namespace fs = std::filesystem;

namespace {

constexpr size_t shortest_commit = 4;  // of the beginning of one, as git has it

void delete_all(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);  // a link is removed itself, not what it leads to
  if (error) fail_on_disk(path, "cannot remove", error.value());
}

std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    paths.push_back(it->path());
  return paths;
}

void refuse_while_downloading(const Layout& layout, const std::string& id) {
  for (const fs::path& lock : entries_of(layout.locks()))
    if (BlobLock::is_taken(lock))
      refuse(HubReason::busy,
             "[hub] {} is being downloaded by another process: nothing was removed. Stop it first.",
             id);
}

const CachedRevision& find_revision(const CachedModel& model, const std::string& revision) {
  std::vector<std::string> known;
  std::vector<const CachedRevision*> found;
  for (const CachedRevision& r : model.revisions) {
    known.push_back(r.commit.substr(0, 12));
    known.insert(known.end(), r.refs.begin(), r.refs.end());
    bool is_meant = std::find(r.refs.begin(), r.refs.end(), revision) != r.refs.end() ||
                    (revision.size() >= shortest_commit && r.commit.starts_with(revision));
    if (is_meant) found.push_back(&r);
  }
  if (found.size() == 1) return *found[0];
  refuse(HubReason::not_downloaded, "[hub] {} has {} revision `{}` in the cache. There {}: {}.",
         model.id, found.empty() ? "no" : "more than one", printable(revision),
         known.size() == 1 ? "is" : "are", known.empty() ? "none" : short_list(known));
}

// Blobs, parts and ETags that no snapshot needs and nobody is writing.
void remove_orphans(const Layout& layout, const CachedModel& model, bool parts_too) {
  std::set<std::string> needed;
  for (const CachedRevision& r : model.revisions)
    for (const HubFile& f : r.files) needed.insert(f.blob());
  for (const fs::path& path : entries_of(layout.blobs())) {
    std::string hash = path.filename().string();
    bool is_part = hash.find('.') != hash.npos;
    hash = hash.substr(0, hash.find('.'));
    bool is_taken = BlobLock::is_taken(layout.locks() / (hash + ".lock"));
    if (!is_taken && (is_part ? parts_too : needed.count(hash) == 0)) delete_all(path);
  }
}

// Bytes of the model now; 0 when it is gone.
uint64_t bytes_left(const fs::path& cache, const std::string& id) {
  for (const CachedModel& model : list_cache(cache))
    if (model.id == id) return model.bytes;
  return 0;
}

}  // namespace

uint64_t remove_cached(const fs::path& cache, const std::string& id, const std::string& revision) {
  Layout layout(cache, id);
  CachedModel model = find_cached(cache, id);
  refuse_while_downloading(layout, id);
  if (revision.empty()) {
    // In this order, so that what is left after a crash is nobody's and can be removed again.
    for (const fs::path& path : {layout.refs(), layout.snapshots(), layout.root(), layout.locks()})
      delete_all(path);
    return model.bytes;
  }
  const CachedRevision& it = find_revision(model, revision);
  for (const std::string& ref : it.refs) delete_all(layout.refs() / ref);
  delete_all(it.path);
  remove_orphans(layout, find_cached(cache, id), false);
  return model.bytes - bytes_left(cache, id);
}

uint64_t remove_unreferenced(const fs::path& cache, const std::string& id) {
  Layout layout(cache, id);
  CachedModel model = find_cached(cache, id);
  remove_orphans(layout, model, true);
  return model.bytes - bytes_left(cache, id);
}

}  // namespace tarn::lm
