#include "base/require.h"
#include "hub_verbs.h"
#include "model_options.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {

int rm(const Words& words) {
  std::vector<std::string> ids;
  std::string revision;
  bool unreferenced = false;
  Arguments arguments("tarn rm", "Removes models from the cache.");
  arguments.texts("MODEL", ids, "org/name; may be given several times");
  arguments.text("--revision", revision,
                 "only this branch, tag or commit, and what no other revision needs");
  arguments.flag("--unreferenced", unreferenced,
                 "only begun downloads and files that belong to no revision");
  if (!parse_or_help(arguments, words)) return 0;
  if (ids.empty()) throw UsageError("tarn rm needs a MODEL; `tarn ls` lists them.");
  if (unreferenced && !revision.empty())
    throw UsageError("--revision and --unreferenced exclude each other.");
  auto cache = lm::HubClient().options().cache;
  for (const std::string& id : ids) lm::find_cached(cache, id);  // all or none
  for (const std::string& id : ids) {
    uint64_t freed =
        unreferenced ? lm::remove_unreferenced(cache, id) : lm::remove_cached(cache, id, revision);
    std::string text = fmt::format("{}: {} freed\n", id, bytes_text(static_cast<double>(freed)));
    say(text);
  }
  return 0;
}

}  // namespace tarn::cli
