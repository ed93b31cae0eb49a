#include "lm/hub/select.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/json.h"
#include "lm/hub/names.h"

namespace tarn::lm::hub {
namespace {

namespace fs = std::filesystem;

// What stands beside the weights.
constexpr std::array companions{"config.json",
                                "generation_config.json",
                                "tokenizer.json",
                                "tokenizer_config.json",
                                "tokenizer.model",
                                "special_tokens_map.json",
                                "added_tokens.json",
                                "vocab.json",
                                "vocab.txt",
                                "merges.txt",
                                "chat_template.jinja",
                                "chat_template.json",
                                "processor_config.json",
                                "preprocessor_config.json"};

bool is_top(std::string_view name) { return name.find('/') == name.npos; }

// Weights that belong together: model*.safetensors where there are such, since other names may hold
// the same numbers once more in another layout.
bool is_weight_in(std::string_view name, bool has_model_names) {
  std::string_view pattern = has_model_names ? "model*.safetensors" : "*.safetensors";
  return matches(pattern, name) || matches("*.safetensors.index.json", name);
}

bool has_model_names(const std::vector<HubFile>& files) {
  return std::any_of(files.begin(), files.end(),
                     [](const HubFile& f) { return matches("model*.safetensors", f.name); });
}

std::vector<std::string> names_like(const std::vector<HubFile>& files, std::string_view pattern) {
  std::vector<std::string> names;
  for (const HubFile& f : files)
    if (matches(pattern, f.name)) names.push_back(f.name);
  std::sort(names.begin(), names.end());
  return names;
}

[[noreturn]] void refuse_without_weights(const HubListing& listing) {
  auto ggufs = names_like(listing.files, "*.gguf");
  if (!ggufs.empty())
    refuse(HubReason::not_found,
           "[hub] {} has {} GGUF files and no safetensors: name the one you want, as {}/{}. There "
           "are {}.",
           listing.id, ggufs.size(), listing.id, ggufs[0], short_list(ggufs));
  bool has_pickles =
      !names_like(listing.files, "*.bin").empty() || !names_like(listing.files, "*.pt*").empty();
  refuse(HubReason::not_found,
         "[hub] {} has no weights that can be loaded: no *.safetensors and no *.gguf{}.",
         listing.id,
         has_pickles ? ", only PyTorch's pickled ones, which could run any program" : "");
}

std::vector<HubFile> needed_by_model(const HubListing& listing) {
  std::vector<HubFile> chosen;
  bool by_model = has_model_names(listing.files), has_weights = false;
  for (const HubFile& f : listing.files) {
    bool is_weight = is_weight_in(f.name, by_model);
    has_weights |= is_weight && f.name.ends_with(".safetensors");
    bool is_companion = std::find(companions.begin(), companions.end(), f.name) != companions.end();
    if (is_top(f.name) && (is_weight || is_companion)) chosen.push_back(f);
  }
  if (has_weights) return chosen;
  if (names_like(listing.files, "*.gguf").size() != 1) refuse_without_weights(listing);
  for (const HubFile& f : listing.files)
    if (matches("*.gguf", f.name)) return {f};
  return {};
}

std::vector<HubFile> matching(const HubListing& listing, const std::vector<std::string>& patterns) {
  std::set<std::string> names;
  std::vector<HubFile> chosen;
  for (const std::string& pattern : patterns) {
    bool is_used = false;
    for (const HubFile& f : listing.files) {
      if (!matches(pattern, f.name)) continue;
      is_used = true;
      if (names.insert(f.name).second) chosen.push_back(f);
    }
    std::vector<std::string> all = names_like(listing.files, "*");
    if (!is_used)
      refuse(HubReason::not_found, "[hub] {} has no file `{}`. In its top folder are {}.",
             listing.id, printable(pattern), all.empty() ? "none" : short_list(all));
  }
  return chosen;
}

bool has(const std::vector<std::string>& names, std::string_view pattern) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return matches(pattern, name); });
}

// The shards that an index names and the folder lacks.
std::vector<std::string> missing_shards(const fs::path& folder,
                                        const std::vector<std::string>& names) {
  std::vector<std::string> missing;
  try {
    Json index = load_json((folder / "model.safetensors.index.json").string());
    std::set<std::string> shards;
    if (auto map = index.find("weight_map"); map != index.end() && map->is_object())
      for (const auto& [tensor, shard] : map->items())
        if (shard.is_string()) shards.insert(shard.get<std::string>());
    for (const std::string& shard : shards)
      if (std::find(names.begin(), names.end(), shard) == names.end())
        missing.push_back(printable(shard));
  } catch (const FileError&) {
    missing.push_back("a model.safetensors.index.json that can be read");
  }
  return missing;
}

}  // namespace

std::vector<std::string> files_in(const fs::path& folder) {
  std::vector<std::string> names;
  constexpr int deepest = 16;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it.depth() >= deepest) it.disable_recursion_pending();
    // A link whose blob is gone is not a file.
    if (it->is_regular_file(error)) names.push_back(it->path().lexically_relative(folder).string());
    error.clear();
  }
  return names;
}

std::string short_list(const std::vector<std::string>& names) {
  constexpr size_t most = 6;
  std::vector<std::string> shown;
  for (const std::string& name : names)
    if (shown.size() < most) shown.push_back(printable(name));
  std::string more =
      names.size() > most ? fmt::format(" and {} more", names.size() - most) : std::string();
  return fmt::format("{}{}", joined(shown), more);
}

std::vector<HubFile> select_files(const HubListing& listing,
                                  const std::vector<std::string>& patterns) {
  auto chosen = patterns.empty() ? needed_by_model(listing) : matching(listing, patterns);
  std::vector<std::string> names;
  for (const HubFile& f : chosen) names.push_back(f.name);
  if (auto pair = colliding_names(names))
    refuse(HubReason::content,
           "[hub] {} has both {} and {}, which cannot lie beside each other on every disk: nothing "
           "was written. Name the files you want.",
           listing.id, printable(pair->first), printable(pair->second));
  std::sort(chosen.begin(), chosen.end(), [](const HubFile& a, const HubFile& b) {
    return a.bytes != b.bytes ? a.bytes > b.bytes : a.name < b.name;
  });
  return chosen;
}

std::vector<std::string> missing_files(const fs::path& folder,
                                       const std::vector<std::string>& patterns) {
  std::vector<std::string> names = files_in(folder), missing;
  for (const std::string& pattern : patterns)
    if (!has(names, pattern)) missing.push_back(pattern);
  if (!patterns.empty() || (has(names, "*.gguf") && !has(names, "*.safetensors"))) return missing;
  if (!has(names, "config.json")) missing.push_back("config.json");
  if (!has(names, "tokenizer.json") && !has(names, "tokenizer.model") && !has(names, "vocab.*"))
    missing.push_back("tokenizer.json");
  if (has(names, "model.safetensors.index.json"))
    for (const std::string& shard : missing_shards(folder, names)) missing.push_back(shard);
  else if (!has(names, "*.safetensors"))
    missing.push_back("model.safetensors");
  return missing;
}

fs::path only_gguf(const fs::path& folder) {
  std::vector<std::string> names = files_in(folder), found;
  if (has(names, "*.safetensors")) return {};
  for (const std::string& name : names)
    if (matches("*.gguf", name)) found.push_back(name);
  return found.size() == 1 ? folder / found[0] : fs::path();
}

}  // namespace tarn::lm::hub
