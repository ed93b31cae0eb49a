// The cache as it lies on the disk.
#include <sys/stat.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "lm/hub/layout.h"
#include "lm/hub/names.h"
#include "lm/hub/select.h"
#include "tarn/lm/hub_cache.h"

namespace tarn::lm {

using namespace hub;
namespace fs = std::filesystem;

namespace {

constexpr int deepest = 16;  // folders inside a snapshot or inside refs

// Calls visit(entry) for everything below `folder` that is not a folder; links are not followed.
template <class Visit>
void each_file(const fs::path& folder, const Visit& visit) {
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it.depth() >= deepest) it.disable_recursion_pending();
    std::error_code ignored;
    if (!it->is_directory(ignored) || it->is_symlink(ignored)) visit(*it);
  }
}

HubFile file_of(const fs::directory_entry& entry, const fs::path& folder) {
  HubFile f;
  std::error_code error;
  f.name = entry.path().lexically_relative(folder).string();
  auto size = fs::file_size(entry.path(), error);
  f.bytes = error ? 0 : size;
  std::string blob = fs::read_symlink(entry.path(), error).filename().string();
  if (is_sha256(blob)) f.sha256 = blob;
  if (is_commit(blob)) f.git_sha1 = blob;
  if (!f.has_hash()) f.etag = blob;
  return f;
}

CachedRevision revision_at(const fs::path& folder) {
  CachedRevision revision;
  revision.commit = folder.filename().string();
  revision.path = folder;
  each_file(folder, [&](const auto& entry) { revision.files.push_back(file_of(entry, folder)); });
  std::sort(revision.files.begin(), revision.files.end(),
            [](const HubFile& a, const HubFile& b) { return a.name < b.name; });
  revision.lacks = missing_files(folder, {});
  return revision;
}

void add_refs(const Layout& layout, std::vector<CachedRevision>& revisions) {
  each_file(layout.refs(), [&](const fs::directory_entry& entry) {
    std::string name = entry.path().lexically_relative(layout.refs()).string();
    if (fault_of_file_name(name)) return;
    auto commit = layout.commit_of(name);
    for (CachedRevision& r : revisions)
      if (commit == r.commit) r.refs.push_back(name);
  });
  for (CachedRevision& r : revisions) std::sort(r.refs.begin(), r.refs.end());
}

void add_sizes(const Layout& layout, CachedModel& model) {
  std::set<std::string> needed;
  for (const CachedRevision& r : model.revisions)
    for (const HubFile& f : r.files) needed.insert(f.blob());
  each_file(layout.blobs(), [&](const fs::directory_entry& entry) {
    struct stat st {};
    if (::lstat(entry.path().c_str(), &st) != 0) return;
    auto bytes = static_cast<uint64_t>(st.st_size);
    std::string name = entry.path().filename().string();
    model.bytes += bytes;
    model.modified = std::max(model.modified, int64_t{st.st_mtim.tv_sec});
    if (name.ends_with(".incomplete")) {
      model.part_bytes += bytes;
    } else if (needed.count(name) == 0) {
      model.unreferenced_bytes += bytes;
    }
  });
}

CachedModel model_at(const fs::path& cache, const std::string& id) {
  Layout layout(cache, id);
  CachedModel model;
  model.id = id;
  model.path = layout.root();
  std::error_code error;
  for (fs::directory_iterator it(layout.snapshots(), error), end; !error && it != end;
       it.increment(error))
    if (it->is_directory() && is_commit(it->path().filename().string()))
      model.revisions.push_back(revision_at(it->path()));
  std::sort(model.revisions.begin(), model.revisions.end(),
            [](const auto& a, const auto& b) { return a.commit < b.commit; });
  add_refs(layout, model.revisions);
  add_sizes(layout, model);
  return model;
}

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return text;
}

// A model whose name without the organisation contains the one that was asked for, or the reverse.
std::string similar_id(const fs::path& cache, const std::string& id) {
  auto last = [](const std::string& text) { return lower(text.substr(text.rfind('/') + 1)); };
  for (const CachedModel& model : list_cache(cache))
    if (last(model.id).find(last(id)) != std::string::npos ||
        last(id).find(last(model.id)) != std::string::npos)
      return model.id;
  return "";
}

}  // namespace

uint64_t CachedRevision::bytes() const {
  return std::accumulate(files.begin(), files.end(), uint64_t{0},
                         [](uint64_t sum, const HubFile& f) { return sum + f.bytes; });
}

std::vector<CachedModel> list_cache(const fs::path& cache) {
  std::vector<CachedModel> models;
  std::error_code error;
  for (fs::directory_iterator it(cache, error), end; !error && it != end; it.increment(error)) {
    auto id = id_of_folder(it->path().filename().string());
    if (id && it->is_directory() && !it->is_symlink()) models.push_back(model_at(cache, *id));
  }
  std::sort(models.begin(), models.end(),
            [](const CachedModel& a, const CachedModel& b) { return a.id < b.id; });
  return models;
}

CachedModel find_cached(const fs::path& cache, const std::string& id) {
  Layout layout(cache, id);
  std::error_code error;
  if (fs::is_directory(fs::symlink_status(layout.root(), error))) return model_at(cache, id);
  std::string similar = similar_id(cache, id);
  refuse(HubReason::not_downloaded, "[hub] {} is not in the cache {}. {}", id,
         printable(cache.string(), 4096),
         similar.empty() ? "`tarn ls` lists what is." : fmt::format("Did you mean {}?", similar));
}

}  // namespace tarn::lm
