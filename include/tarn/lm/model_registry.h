// Models under names of one's own, pinned to a commit and to the hash of each file.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/lm/hub.h"

namespace tarn::lm {

// Read from and written to a file, by custom `tarn.lock`:
//
//   {"version": 1, "models": {"small": {"id": "org/name", "revision": "main", "commit": "…",
//     "files": {"config.json": {"bytes": 612, "git-sha1": "…"},
//               "model.safetensors": {"bytes": 269060552, "sha256": "…"}}}}}
class ModelRegistry {
 public:
  // Throws FileError that names the file and what is wrong in it.
  static ModelRegistry read(const std::filesystem::path& file);
  // Whole or not at all. Only models with an id can be written, not directories.
  void write(const std::filesystem::path& file) const;

  // Replaces what has this name.
  void add(const std::string& name, ModelConfiguration model);
  // nullptr when nothing has this name.
  const ModelConfiguration* find(std::string_view name) const;
  // What the name stands for; a text that is no name here is read as ModelConfiguration::parse
  // does.
  ModelConfiguration configuration(std::string_view text) const;
  std::vector<std::string> names() const;

 private:
  std::map<std::string, ModelConfiguration, std::less<>> models_{};
};

}  // namespace tarn::lm
