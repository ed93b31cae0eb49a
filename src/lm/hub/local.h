// What the cache knows about a model, without the network.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "lm/hub/layout.h"

namespace tarn::lm::hub {

struct Local {
  std::string commit{};                // empty: not known
  std::filesystem::path folder{};      // its snapshot; empty: there is none
  std::vector<std::string> missing{};  // empty: it is whole
  bool is_whole() const { return !folder.empty() && missing.empty(); }
};

Local look_for_revision(const Layout& layout, const std::string& revision,
                        const std::vector<std::string>& patterns);
// Whether these very files are there.
Local look_for_files(const Layout& layout, const std::string& commit,
                     const std::vector<HubFile>& files);

// "org/name is not in the cache /c" or "org/name is not whole in the cache /c: a, b are missing".
std::string lack_text(const std::string& name, const HubOptions& options, const Local& local);

bool has_wildcard(const std::string& pattern);

// The part of what `model` means inside the snapshot: the folder, or the one file of it.
std::filesystem::path path_in(const std::filesystem::path& folder, const ModelConfiguration& model);

}  // namespace tarn::lm::hub
