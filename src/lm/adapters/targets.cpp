// Which matrices an adapter's configuration names.
#include <algorithm>
#include <cmath>

#include "base/require.h"
#include "lm/adapters/content.h"

namespace tarn::lm {
namespace {

bool ends_with_part(const std::string& path, const std::string& end) {
  return path == end || path.ends_with("." + end);
}

// The number behind the first part of a path that is one: "model.layers.3.mlp" has 3.
std::optional<int64_t> layer_of(const std::string& path, size_t* behind = nullptr) {
  for (size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
    size_t end = path.find('.', dot + 1);
    if (end == std::string::npos) return std::nullopt;
    std::string part = path.substr(dot + 1, end - dot - 1);
    bool number = !part.empty() && part.size() <= 9 &&
                  part.find_first_not_of("0123456789") == std::string::npos;
    if (!number) continue;
    if (behind) *behind = end + 1;
    return std::stoll(part);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> below_layer(const std::string& path, int64_t layers, int num_layers) {
  size_t behind = 0;
  auto layer = layer_of(path, &behind);
  if (!layer || (num_layers > 0 && *layer < layers - num_layers)) return std::nullopt;
  return path.substr(behind);
}

bool is_key_of(const std::string& key, const std::string& path, int64_t layers, int num_layers) {
  return key == path || below_layer(path, layers, num_layers) == key;
}

bool is_saved_whole(const PeftConfiguration& peft, const std::string& path) {
  return std::any_of(peft.modules_to_save.begin(), peft.modules_to_save.end(),
                     [&](const std::string& end) { return ends_with_part(path, end); });
}

// Whether the pattern takes in the whole path, as Python's re.fullmatch.
bool PeftTargets::matches(const std::string& pattern, const std::string& path) {
  auto it = compiled_.find(pattern);
  if (it == compiled_.end())
    it = compiled_
             .emplace(pattern, tokenizer::Regex("\\A(?:" + pattern + ")\\z", "adapter_config.json"))
             .first;
  tokenizer::Search search(it->second, tokenizer::deadline_for(path.size()));
  search.start(path);
  return search.next().has_value();
}

bool PeftTargets::is_named(const std::vector<std::string>& ends, const std::string& pattern,
                           const std::string& path) {
  if (!pattern.empty()) return matches(pattern, path);
  return std::any_of(ends.begin(), ends.end(),
                     [&](const std::string& end) { return ends_with_part(path, end); });
}

// The first key of a table that names the path or its end. Keys are patterns; those without signs
// of one are compared as they are, since there may be one for each matrix.
template <class T>
T PeftTargets::by_pattern(const std::map<std::string, T>& table, const std::string& path,
                          T otherwise) {
  for (const auto& [key, value] : table) {
    bool is_plain = key.find_first_of("\\^$*+?()[]{}|") == std::string::npos;
    if (is_plain ? ends_with_part(path, key) : matches("(?:.*\\.)?(?:" + key + ")", path))
      return value;
  }
  return otherwise;
}

std::optional<Wanted> PeftTargets::wanted(const std::string& path, bool is_table) {
  if (is_named(peft_.excluded, peft_.excluded_pattern, path) || is_saved_whole(peft_, path))
    return std::nullopt;
  bool named = peft_.all_linear ? !is_table && path != "lm_head"
                                : is_named(peft_.targets, peft_.target_pattern, path);
  if (!named) return std::nullopt;
  if (!peft_.layers.empty()) {
    auto layer = layer_of(path);
    if (!layer || std::find(peft_.layers.begin(), peft_.layers.end(), *layer) == peft_.layers.end())
      return std::nullopt;
  }
  int rank = by_pattern(peft_.rank_pattern, path, peft_.rank);
  float alpha = by_pattern(peft_.alpha_pattern, path, peft_.alpha);
  auto by = static_cast<float>(rank);
  return Wanted{rank, alpha / (peft_.root_scale ? std::sqrt(by) : by)};
}

Chooser chooser_of(const LoRAContainer::Content& content, int64_t layers) {
  if (content.form == AdapterForm::peft)
    return [targets = std::make_shared<PeftTargets>(content.peft)](const Target& t) {
      return targets->wanted(t.path, t.is_table);
    };
  if (content.configuration.fine_tune_type == "full")
    return [](const Target&) { return std::optional<Wanted>(); };
  return [c = content.configuration, layers](const Target& t) -> std::optional<Wanted> {
    const auto& p = c.lora_parameters;
    auto is_it = [&](const std::string& key) {
      return is_key_of(key, t.path, layers, c.num_layers);
    };
    bool chosen = p.keys ? std::any_of(p.keys->begin(), p.keys->end(), is_it)
                         : below_layer(t.path, layers, c.num_layers).has_value();
    if (!chosen) return std::nullopt;
    return Wanted{p.rank, p.scale};
  };
}

}  // namespace tarn::lm
