#include <unistd.h>

#include <optional>

#include "base/json.h"
#include "base/json_text.h"
#include "base/require.h"
#include "hub_verbs.h"
#include "model_options.h"
#include "progress.h"
#include "terminal.h"
#include "verbs.h"

namespace tarn::cli {
namespace {

struct Result {
  std::string id{};
  std::vector<lm::DamagedFile> damaged{};
};

std::vector<lm::DamagedFile> verify_with_bar(const lm::CachedModel& model, bool repair) {
  InterruptScope interrupt;
  std::optional<Progress> bar;
  lm::VerifyOptions options;
  options.stop = interrupt.token();
  options.remove_damaged = repair;
  options.progress = [&](uint64_t done, uint64_t total) {
    if (!bar) {
      ProgressOptions shown;
      shown.label = "Hashing " + model.id;
      shown.total = total;
      bar.emplace(std::move(shown));
    }
    bar->update(done);
  };
  return lm::verify_cached(model, options);
}

std::string as_json(const std::vector<Result>& results) {
  OrderedJson out = OrderedJson::array();
  for (const Result& result : results) {
    OrderedJson damaged = OrderedJson::array();
    for (const lm::DamagedFile& file : result.damaged)
      damaged.push_back(
          {{"files", file.names}, {"blob", file.blob.string()}, {"problem", file.problem}});
    out.push_back({{"id", result.id}, {"damaged", damaged}});
  }
  return json_text(out, 2) + "\n";
}

std::string as_text(const std::vector<Result>& results, bool repair) {
  std::string out;
  for (const Result& result : results) {
    if (result.damaged.empty()) out += result.id + ": as it was published\n";
    for (const lm::DamagedFile& file : result.damaged)
      out += fmt::format("{}: {} is damaged: {}\n", result.id, joined(file.names), file.problem);
    if (result.damaged.empty()) continue;
    out += repair
               ? fmt::format("{}: removed; `tarn pull {}` brings it again\n", result.id, result.id)
               : fmt::format("{}: `tarn verify --repair` removes it, `tarn pull` brings it again\n",
                             result.id);
  }
  return safe_text(out);
}

}  // namespace

int verify(const Words& words) {
  std::vector<std::string> ids;
  bool wants_json = false, repair = false;
  Arguments arguments("tarn verify",
                      "Hashes the files of models and compares. Ends with 1 if one is damaged.");
  arguments.texts("MODEL", ids, "org/name; without one, all that are in the cache");
  arguments.flag("--repair", repair, "removes damaged files, so that `tarn pull` brings them");
  arguments.flag("--json", wants_json, "as JSON");
  if (!parse_or_help(arguments, words)) return 0;
  std::vector<Result> results;
  bool is_damaged = false;
  for (const lm::CachedModel& model : cached_models(lm::HubClient().options().cache, ids)) {
    results.push_back({model.id, verify_with_bar(model, repair)});
    is_damaged = is_damaged || !results.back().damaged.empty();
  }
  write_all(STDOUT_FILENO, wants_json ? as_json(results) : as_text(results, repair),
            "standard output");
  return is_damaged ? 1 : 0;
}

}  // namespace tarn::cli
