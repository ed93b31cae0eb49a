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

std::string state_of(const lm::CachedRevision& revision) {
  return revision.lacks.empty() ? "whole" : fmt::format("lacks {}", joined(revision.lacks));
}

std::string as_json(const std::vector<lm::CachedModel>& models) {
  OrderedJson out = OrderedJson::array();
  for (const lm::CachedModel& model : models)
    for (const lm::CachedRevision& r : model.revisions)
      out.push_back({{"id", model.id},
                     {"revisions", r.refs},
                     {"commit", r.commit},
                     {"bytes", r.bytes()},
                     {"lacks", r.lacks},
                     {"modified", model.modified},
                     {"path", r.path.string()}});
  return json_text(out, 2) + "\n";
}

std::string as_text(const std::vector<lm::CachedModel>& models) {
  std::vector<std::vector<std::string>> rows{{"MODEL", "REVISION", "SIZE", "CHANGED", "STATE"}};
  for (const lm::CachedModel& model : models) {
    for (const lm::CachedRevision& r : model.revisions)
      rows.push_back({model.id, revision_text(r), bytes_text(static_cast<double>(r.bytes())),
                      time_text(model.modified), state_of(r)});
    if (model.revisions.empty())
      rows.push_back({model.id, "-", bytes_text(static_cast<double>(model.bytes)),
                      time_text(model.modified), "begun; `tarn pull` goes on"});
  }
  for (auto& row : rows)
    for (std::string& cell : row) cell = safe_text(cell);
  return table(rows, {2});
}

}  // namespace

int ls(const Words& words) {
  bool wants_json = false;
  Arguments arguments("tarn ls", "The models in the cache.");
  arguments.flag("--json", wants_json, "as JSON, one object a revision");
  if (!parse_or_help(arguments, words)) return 0;
  auto cache = lm::HubClient().options().cache;
  std::vector<lm::CachedModel> models = lm::list_cache(cache);
  if (models.empty() && !wants_json) {
    std::string text = fmt::format("There is no model in {}. `tarn pull org/name` brings one.\n",
                                   safe_text(cache.string()));
    say(text);
    return 0;
  }
  write_all(STDOUT_FILENO, wants_json ? as_json(models) : as_text(models), "standard output");
  return 0;
}

}  // namespace tarn::cli
