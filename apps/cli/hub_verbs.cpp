#include "hub_verbs.h"

#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <optional>

#include "base/require.h"
#include "model_options.h"
#include "progress.h"
#include "terminal.h"

namespace tarn::cli {

namespace fs = std::filesystem;

lm::ModelRegistry registry_of(const std::string& lock_file) {
  std::error_code error;
  return fs::exists(lock_file, error) ? lm::ModelRegistry::read(lock_file) : lm::ModelRegistry();
}

lm::HubClient patient_client(bool offline) {
  lm::HubOptions options;
  if (offline) options.offline = true;
  options.on_retry = [](const std::string& failure, double seconds) {
    say(fmt::format("{}. Trying again in {:.0f} s.\n", failure, seconds));
  };
  return lm::HubClient(options);
}

bool is_hub_name(const std::string& text) {
  size_t slash = text.find('/');
  if (slash == text.npos || slash == 0 || text[0] == '.' || text[0] == '~') return false;
  size_t second = text.find('/', slash + 1);
  std::string id = text.substr(0, std::min(second, text.find('@')));
  return !id.ends_with(".gguf") && !id.ends_with(".safetensors") && !id.ends_with("/");
}

fs::path fetch_with_bar(const lm::HubClient& client, const lm::ModelConfiguration& model,
                        bool use_latest, lm::DownloadProgress* last) {
  InterruptScope interrupt;
  std::optional<Progress> bar;
  lm::DownloadProgress now;
  lm::FetchOptions fetch;
  fetch.stop = interrupt.token();
  fetch.use_latest = use_latest;
  fetch.progress = [&](const lm::DownloadProgress& progress) {
    now = progress;
    if (!bar) {
      ProgressOptions options;
      options.label = "Downloading " + model.name();
      options.total = progress.bytes_total;
      options.done = progress.bytes_at_start;
      bar.emplace(std::move(options));
    }
    bar->update(progress.bytes_done);
  };
  try {
    fs::path path = client.fetch(model, fetch);
    if (last) *last = now;
    return path;
  } catch (const Cancelled&) {
    bar.reset();
    std::string text =
        fmt::format("Stopped: {} of {} are kept; `tarn pull {}` goes on from there.\n",
                    bytes_text(static_cast<double>(now.bytes_done)),
                    bytes_text(static_cast<double>(now.bytes_total)), safe_text(model.id));
    say(now.bytes_total > 0 ? text : "Stopped.\n");
    throw;
  }
}

std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<size_t>& right) {
  std::vector<int> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      std::string room(static_cast<size_t>(widths[i] - display_width(row[i])), ' ');
      bool is_right = std::find(right.begin(), right.end(), i) != right.end();
      line += (i ? "  " : "") + (is_right ? room + row[i] : row[i] + room);
    }
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

std::string revision_text(const lm::CachedRevision& revision) {
  return revision.refs.empty() ? revision.commit.substr(0, 12)
                               : fmt::format("{}", joined(revision.refs));
}

std::string time_text(int64_t seconds) {
  auto time = static_cast<time_t>(seconds);
  tm parts{};
  char text[32] = "";
  if (seconds > 0 && localtime_r(&time, &parts))
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts);
  return text;
}

std::vector<lm::CachedModel> cached_models(const fs::path& cache,
                                           const std::vector<std::string>& ids) {
  if (ids.empty()) return lm::list_cache(cache);
  std::vector<lm::CachedModel> models;
  for (const std::string& id : ids) models.push_back(lm::find_cached(cache, id));
  return models;
}

}  // namespace tarn::cli
