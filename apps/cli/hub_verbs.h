// What the verbs about models share: their options, tables, and a download with a bar.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "arguments.h"
#include "tarn/lm/hub.h"
#include "tarn/lm/hub_cache.h"
#include "tarn/lm/model_registry.h"

namespace tarn::cli {

// What a lock file pins: nothing where there is none.
lm::ModelRegistry registry_of(const std::string& lock_file);
// A client that says on standard error why it asks a hub once more.
lm::HubClient patient_client(bool offline = false);

// Whether a text that is no file here may be the name of a model on a hub, as "org/name".
bool is_hub_name(const std::string& text);

// fetch() with a bar on standard error. After Ctrl-C says how much is kept and throws Cancelled.
std::filesystem::path fetch_with_bar(const lm::HubClient& client,
                                     const lm::ModelConfiguration& model, bool use_latest,
                                     lm::DownloadProgress* last = nullptr);

// Rows in columns two blanks apart; the columns in `right` are aligned to the right.
std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<size_t>& right = {});

// "main", "main, v1.0" or, without a branch, the first twelve digits of the commit.
std::string revision_text(const lm::CachedRevision& revision);
// "2026-11-26 10:30" in local time.
std::string time_text(int64_t seconds);

// The models with these ids, or all of them.
std::vector<lm::CachedModel> cached_models(const std::filesystem::path& cache,
                                           const std::vector<std::string>& ids);

}  // namespace tarn::cli
