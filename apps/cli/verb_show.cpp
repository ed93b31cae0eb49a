#include <unistd.h>

#include "base/json.h"
#include "base/json_text.h"
#include "base/require.h"
#include "hub_verbs.h"
#include "model_options.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

// From the hub, as if it were in the cache without a folder.
std::vector<lm::CachedRevision> ask_hub(const lm::HubClient& client, const std::string& id,
                                        const std::string& revision) {
  InterruptScope interrupt;
  lm::HubListing listing = client.list(id, revision, interrupt.token());
  return {{.commit = listing.commit, .refs = {revision}, .files = listing.files}};
}

// What kind of thing says that the content is right.
const char* proof_name(const lm::HubFile& f) {
  return !f.sha256.empty() ? "sha256" : !f.git_sha1.empty() ? "git-sha1" : "etag";
}

std::string proof_text(const lm::HubFile& f) {
  if (f.blob().empty()) return "no hash";
  if (!f.has_hash()) return "size and ETag only";
  return (f.sha256.empty() ? "git " : "sha256 ") + f.blob().substr(0, 12);
}

OrderedJson as_json(const std::string& id, const lm::CachedRevision& r) {
  OrderedJson files = OrderedJson::array();
  for (const lm::HubFile& f : r.files)
    files.push_back({{"name", f.name}, {"bytes", f.bytes}, {proof_name(f), f.blob()}});
  return {{"id", id},
          {"revisions", r.refs},
          {"commit", r.commit},
          {"path", r.path.string()},
          {"lacks", r.lacks},
          {"bytes", r.bytes()},
          {"files", std::move(files)}};
}

std::string as_text(const std::string& id, const lm::CachedRevision& r) {
  std::vector<std::vector<std::string>> head{{"model", id}, {"commit", r.commit}};
  if (!r.refs.empty()) head.push_back({"revision", fmt::format("{}", joined(r.refs))});
  head.push_back({"size", bytes_text(static_cast<double>(r.bytes()))});
  head.push_back({"folder", r.path.empty() ? "not downloaded" : r.path.string()});
  if (!r.lacks.empty()) head.push_back({"lacks", fmt::format("{}", joined(r.lacks))});
  std::vector<std::vector<std::string>> rows;
  for (const lm::HubFile& f : r.files)
    rows.push_back({"  " + f.name, bytes_text(static_cast<double>(f.bytes)), proof_text(f)});
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
  lm::HubClient client = patient_client();
  std::vector<lm::CachedRevision> all = remote
                                            ? ask_hub(client, id, revision)
                                            : lm::find_cached(client.options().cache, id).revisions;
  OrderedJson json = OrderedJson::array();
  std::string text;
  for (const lm::CachedRevision& r : all) {
    json.push_back(as_json(id, r));
    text += (text.empty() ? "" : "\n") + as_text(id, r);
  }
  if (all.empty()) text = safe_text(id) + ": begun, no file of it is whole yet\n";
  std::string out = json_text(json, 2) + "\n";
  write_all(STDOUT_FILENO, wants_json ? out : text, "standard output");
  return 0;
}

}  // namespace tarn::cli
