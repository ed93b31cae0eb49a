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

std::string bytes_cell(uint64_t bytes) {
  return bytes ? bytes_text(static_cast<double>(bytes)) : "-";
}

std::string as_json(const std::vector<lm::CachedModel>& models, const std::string& cache) {
  OrderedJson out = {{"cache", cache}, {"bytes", 0}, {"models", OrderedJson::array()}};
  uint64_t sum = 0;
  for (const lm::CachedModel& model : models) {
    sum += model.bytes;
    out["models"].push_back({{"id", model.id},
                             {"bytes", model.bytes},
                             {"part_bytes", model.part_bytes},
                             {"unreferenced_bytes", model.unreferenced_bytes}});
  }
  out["bytes"] = sum;
  return json_text(out, 2) + "\n";
}

std::string as_text(const std::vector<lm::CachedModel>& models, const std::string& cache) {
  std::vector<std::vector<std::string>> rows{{"SIZE", "BEGUN", "NOBODY'S", "MODEL"}};
  uint64_t sum = 0, parts = 0, unreferenced = 0;
  for (const lm::CachedModel& model : models) {
    sum += model.bytes, parts += model.part_bytes, unreferenced += model.unreferenced_bytes;
    rows.push_back({bytes_cell(model.bytes), bytes_cell(model.part_bytes),
                    bytes_cell(model.unreferenced_bytes), model.id});
  }
  rows.push_back({bytes_cell(sum), bytes_cell(parts), bytes_cell(unreferenced), safe_text(cache)});
  std::string text = table(rows, {0, 1, 2});
  if (parts + unreferenced > 0)
    text += "`tarn rm --unreferenced MODEL` frees what is begun or nobody's.\n";
  return text;
}

}  // namespace

int du(const Words& words) {
  bool wants_json = false;
  Arguments arguments("tarn du", "The space that models take on the disk.");
  arguments.flag("--json", wants_json, "as JSON");
  if (!parse_or_help(arguments, words)) return 0;
  std::string cache = lm::HubClient().options().cache.string();
  std::vector<lm::CachedModel> models = lm::list_cache(cache);
  write_all(STDOUT_FILENO, wants_json ? as_json(models, cache) : as_text(models, cache),
            "standard output");
  return 0;
}

}  // namespace tarn::cli
