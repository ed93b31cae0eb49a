// Which files of a model are wanted, and whether a folder has them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tarn/lm/hub.h"

namespace tarn::lm::hub {

// The files that match a pattern; without patterns those that a language model needs. By size, the
// largest first. Throws HubError when a pattern matches nothing, when there are no weights that can
// be loaded, and when two names cannot stand beside each other.
std::vector<HubFile> select_files(const HubListing& listing,
                                  const std::vector<std::string>& patterns);

// Names, or patterns that nothing matches, without which the folder is not whole; empty when it is.
std::vector<std::string> missing_files(const std::filesystem::path& folder,
                                       const std::vector<std::string>& patterns);

// The one GGUF file of a snapshot that has no other weights; empty when there is not just one.
std::filesystem::path only_gguf(const std::filesystem::path& folder);

// The regular files of a folder and its folders, by their paths in it.
std::vector<std::string> files_in(const std::filesystem::path& folder);

// "a, b, c and 4 more".
std::string short_list(const std::vector<std::string>& names);

}  // namespace tarn::lm::hub
