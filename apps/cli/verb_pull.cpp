#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/json.h"
#include "base/json_text.h"
#include "base/require.h"
#include "hub_verbs.h"
#include "model_options.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

namespace fs = std::filesystem;

struct PullArguments {
  std::string name{}, revision{}, file{}, lock{}, locked{}, as{};
  bool wants_json = false;
};

// One model that is to come, and what it is called in a lock file.
struct Wish {
  std::string name{};
  lm::ModelConfiguration model{};
};

std::vector<Wish> wishes_of(const PullArguments& given) {
  if (!given.locked.empty()) {
    lm::ModelRegistry registry = lm::ModelRegistry::read(given.locked);
    std::vector<Wish> wishes;
    for (const std::string& name : registry.names())
      if (given.name.empty() || given.name == name) wishes.push_back({name, *registry.find(name)});
    require(!wishes.empty(), "[pull] {} pins no model {}. It has: {}.", given.locked, given.name,
            joined(registry.names()));
    return wishes;
  }
  lm::ModelConfiguration model = lm::ModelConfiguration::parse(given.name);
  if (!model.directory.empty())
    throw UsageError(fmt::format("{} is a file or folder here, there is nothing to download.",
                                 safe_text(given.name)));
  if (!given.revision.empty()) model.revision = given.revision;
  if (!given.file.empty()) model.file = given.file;
  return {{given.as.empty() ? model.id : given.as, model}};
}

// Before anything is downloaded.
void check_lock(const std::string& file) {
  registry_of(file);
  fs::path folder = fs::path(file).parent_path();
  bool writable = access(folder.empty() ? "." : folder.c_str(), W_OK) == 0;
  require<FileError>(writable,
                     "[pull] {} cannot be written: {}. Name a file in a folder that can be.", file,
                     std::strerror(errno));
}

void write_lock(const std::string& file, const Wish& wish) {
  lm::ModelRegistry registry = registry_of(file);
  registry.add(wish.name, wish.model);
  registry.write(file);
}

// Says so where a mirror told no hashes.
void note_missing_hashes(const lm::HubClient& client, const std::string& id, const fs::path& path) {
  size_t count = 0;
  for (const lm::CachedRevision& r : lm::find_cached(client.options().cache, id).revisions)
    if (path == r.path || path.parent_path() == r.path)
      for (const lm::HubFile& f : r.files) count += !f.etag.empty();
  if (count == 0) return;
  say(fmt::format("{}: the hub told no hash of {} files: their size and ETag were checked\n", id,
                  count));
}

void report(const Wish& wish, const fs::path& path, const lm::DownloadProgress& progress,
            bool as_json) {
  uint64_t fresh = progress.bytes_done - progress.bytes_at_start;
  if (as_json) {
    OrderedJson out = {{"id", wish.model.id},
                       {"path", path.string()},
                       {"files", progress.files_total},
                       {"bytes", progress.bytes_total},
                       {"downloaded_bytes", fresh}};
    write_all(STDOUT_FILENO, json_text(out) + "\n", "standard output");
    return;
  }
  std::string text = fresh == 0
                         ? "is here already"
                         : fmt::format("{} downloaded", bytes_text(static_cast<double>(fresh)));
  say(fmt::format("{}: {}\n", wish.model.id, text));
  write_all(STDOUT_FILENO, path.string() + "\n", "standard output");
}

}  // namespace

int pull(const Words& words) {
  PullArguments given;
  Arguments arguments(
      "tarn pull",
      "Brings a model into the cache, or what is new of it, and prints where it is. "
      "What an interrupted\ndownload left is used.");
  arguments.text("NAME", given.name, "org/name, org/name@revision or org/name/file.gguf");
  arguments.text("--revision", given.revision, "a branch, a tag or a commit");
  arguments.text("--file", given.file, "one file only; may have * and ?");
  arguments.text("--lock", given.lock, "also pins commit and hashes in this file: tarn.lock");
  arguments.text("--as", given.as, "its name there, instead of org/name");
  arguments.text("--locked", given.locked, "brings what this file pins: all, or NAME");
  arguments.flag("--json", given.wants_json, "prints an object instead of the path");
  if (!parse_or_help(arguments, words)) return 0;
  if (given.name.empty() && given.locked.empty())
    throw UsageError("tarn pull needs a NAME: org/name, as on the page of the model.");
  if (!given.lock.empty()) check_lock(given.lock);
  lm::HubClient client = patient_client();
  for (Wish& wish : wishes_of(given)) {
    if (!given.lock.empty()) wish.model = client.pin(wish.model);
    lm::DownloadProgress last;
    fs::path path = fetch_with_bar(client, wish.model, true, &last);
    if (!given.lock.empty()) write_lock(given.lock, wish);
    note_missing_hashes(client, wish.model.id, path);
    report(wish, path, last, given.wants_json);
  }
  return 0;
}

}  // namespace tarn::cli
