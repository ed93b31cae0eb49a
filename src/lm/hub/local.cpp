#include "lm/hub/local.h"

#include "lm/hub/names.h"
#include "lm/hub/select.h"

namespace tarn::lm::hub {
namespace {

namespace fs = std::filesystem;

// The snapshot folder of a commit, if it is there.
fs::path folder_of(const Layout& layout, const std::string& commit) {
  std::error_code error;
  fs::path folder = layout.snapshot(commit);
  return !commit.empty() && fs::is_directory(folder, error) ? folder : fs::path();
}

// The file of a folder that the pattern means.
fs::path one_file(const fs::path& folder, const std::string& pattern, const std::string& id) {
  if (!has_wildcard(pattern)) return folder / pattern;
  std::vector<std::string> found;
  for (const std::string& name : files_in(folder))
    if (matches(pattern, name)) found.push_back(name);
  if (found.size() == 1) return folder / found[0];
  refuse(HubReason::bad_name, "[hub] {}: `{}` means {} files, one is needed: {}.", id,
         printable(pattern), found.size(), short_list(found));
}

}  // namespace

bool has_wildcard(const std::string& pattern) {
  return pattern.find_first_of("*?") != pattern.npos;
}

Local look_for_revision(const Layout& layout, const std::string& revision,
                        const std::vector<std::string>& patterns) {
  Local local;
  local.commit = layout.commit_of(revision).value_or("");
  local.folder = folder_of(layout, local.commit);
  if (!local.folder.empty()) local.missing = missing_files(local.folder, patterns);
  return local;
}

Local look_for_files(const Layout& layout, const std::string& commit,
                     const std::vector<HubFile>& files) {
  Local local{commit, folder_of(layout, commit), {}};
  for (const HubFile& f : files) {
    if (!layout.has_blob(f) || !layout.is_linked(commit, f)) local.missing.push_back(f.name);
  }
  return local;
}

std::string lack_text(const std::string& name, const HubOptions& options, const Local& local) {
  std::string cache = printable(options.cache.string(), 4096);
  if (local.folder.empty()) return fmt::format("{} is not in the cache {}", name, cache);
  return fmt::format("{} is not whole in the cache {}: {} {} missing", name, cache,
                     short_list(local.missing), local.missing.size() == 1 ? "is" : "are");
}

fs::path path_in(const fs::path& folder, const ModelConfiguration& model) {
  if (!model.file.empty()) return one_file(folder, model.file, model.id);
  fs::path gguf = only_gguf(folder);
  return gguf.empty() ? folder : gguf;
}

}  // namespace tarn::lm::hub
