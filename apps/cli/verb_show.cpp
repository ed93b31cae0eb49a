#include <unistd.h>

#include "base/json.h"
#include "base/require.h"
#include "hub_verbs.h"
#include "model_options.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

// A revision as it is shown: from the cache, or from the hub.
struct Shown {
  std::string id{}, commit{}, path{};
  std::vector<std::string> refs{}, lacks{};
  std::vector<lm::HubFile> files{};
  uint64_t bytes() const { return lm::CachedRevision{.files = files}.bytes(); }
};

std::vector<Shown> shown_from_cache(const lm::CachedModel& model) {
  std::vector<Shown> all;
  for (const lm::CachedRevision& r : model.revisions)
    all.push_back({model.id, r.commit, r.path.string(), r.refs, r.lacks, r.files});
  return all;
}

std::vector<Shown> shown_from_hub(const lm::HubClient& client, const std::string& id,
                                  const std::string& revision) {
  InterruptScope interrupt;
  lm::HubListing listing = client.list(id, revision, interrupt.token());
  return {{id, listing.commit, "", {revision}, {}, listing.files}};
}

OrderedJson as_json(const Shown& shown) {
  OrderedJson files = OrderedJson::array();
  for (const lm::HubFile& f : shown.files)
    files.push_back({{"name", f.name},
                     {"bytes", f.bytes},
                     {f.sha256.empty() ? "git-sha1" : "sha256", f.blob()}});
  return {{"id", shown.id},           {"revisions", shown.refs}, {"commit", shown.commit},
          {"path", shown.path},       {"lacks", shown.lacks},    {"bytes", shown.bytes()},
          {"files", std::move(files)}};
}

std::string as_text(const Shown& shown) {
  std::vector<std::vector<std::string>> head{{"model", shown.id}, {"commit", shown.commit}};
  if (!shown.refs.empty()) head.push_back({"revision", fmt::format("{}", joined(shown.refs))});
  head.push_back({"size", bytes_text(static_cast<double>(shown.bytes()))});
  head.push_back({"folder", shown.path.empty() ? "not downloaded" : shown.path});
  if (!shown.lacks.empty()) head.push_back({"lacks", fmt::format("{}", joined(shown.lacks))});
  std::vector<std::vector<std::string>> rows;
  for (const lm::HubFile& f : shown.files)
    rows.push_back({"  " + f.name, bytes_text(static_cast<double>(f.bytes)),
                    (f.sha256.empty() ? "git " : "sha256 ") + f.blob().substr(0, 12)});
  return safe_text(table(head) + table(rows, {1}));
}

}  // namespace

int show(const Words& words) {
  std::string id, revision = "main";
  bool wants_json = false, remote = false;
  Arguments arguments("tarn show", "A model's files, sizes and hashes, and where it is.");
  arguments.text("MODEL", id, "org/name");
  arguments.flag("--remote", remote, "what the hub has, not what is in the cache");
  arguments.text("--revision", revision, "with --remote: a branch, a tag or a commit");
  arguments.flag("--json", wants_json, "as JSON, one object a revision");
  if (!parse_or_help(arguments, words)) return 0;
  if (id.empty()) throw UsageError("tarn show needs a MODEL; `tarn ls` lists them.");
  lm::HubClient client;
  std::vector<Shown> all = remote ? shown_from_hub(client, id, revision)
                                  : shown_from_cache(lm::find_cached(client.options().cache, id));
  OrderedJson json = OrderedJson::array();
  std::string text;
  for (const Shown& shown : all) {
    json.push_back(as_json(shown));
    text += (text.empty() ? "" : "\n") + as_text(shown);
  }
  if (all.empty()) text = safe_text(id) + ": begun, no file of it is whole yet\n";
  std::string out = json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
  write_all(STDOUT_FILENO, wants_json ? out : text, "standard output");
  return 0;
}

}  // namespace tarn::cli
