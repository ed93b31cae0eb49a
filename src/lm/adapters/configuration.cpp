// adapter_config.json in both forms.
#include <algorithm>
#include <cmath>

#include "base/printable.h"
#include "base/require.h"
#include "lm/adapters/content.h"

namespace tarn::lm {
namespace {

// The keys of one object of a file.
class Keys {
 public:
  Keys(const Json& json, std::string file, std::string place = {})
      : json_(json), file_(std::move(file)), place_(std::move(place)) {
    require<FileError>(json.is_object(), "[adapters] {}: {} is {}, an object is needed.", file_,
                       place_.empty() ? "the configuration" : "`" + place_ + "`",
                       printable(json.dump()));
  }

  // Absent or null: nothing.
  const Json* find(const char* key) const {
    auto it = json_.find(key);
    return it == json_.end() || it->is_null() ? nullptr : &*it;
  }
  [[noreturn]] void fail(const char* key, const char* needed) const {
    const Json* value = find(key);
    tarn::fail<FileError>("[adapters] {}: `{}` is {}, {} is needed.", file_, named(key),
                          value ? printable(value->dump()) : "missing", needed);
  }
  int whole(const char* key, int least, std::optional<int> otherwise) const {
    const Json* value = find(key);
    if (!value && otherwise) return *otherwise;
    std::string needed = fmt::format("a whole number from {} to 1000000", least);
    if (!value || !value->is_number_integer()) fail(key, needed.c_str());
    auto number = value->get<int64_t>();
    if (number < least || number > 1'000'000) fail(key, needed.c_str());
    return static_cast<int>(number);
  }
  float number(const char* key, std::optional<float> otherwise) const {
    const Json* value = find(key);
    if (!value && otherwise) return *otherwise;
    if (!value || !value->is_number() || !std::isfinite(value->get<float>())) fail(key, "a number");
    return value->get<float>();
  }
  float dropout(const char* key) const {
    float p = number(key, 0.0f);
    if (!(p >= 0 && p < 1)) fail(key, "a number in [0, 1)");
    return p;
  }
  bool flag(const char* key) const {
    const Json* value = find(key);
    if (!value) return false;
    if (!value->is_boolean()) fail(key, "true or false");
    return value->get<bool>();
  }
  std::string text(const char* key, const char* otherwise) const {
    const Json* value = find(key);
    if (!value) return otherwise;
    if (!value->is_string()) fail(key, "a text");
    return value->get<std::string>();
  }
  std::vector<std::string> texts(const char* key) const {
    const Json* value = find(key);
    if (!value) return {};
    bool sound = value->is_array();
    for (const Json& one : *value) sound = sound && one.is_string();
    if (!sound) fail(key, "a list of texts");
    return value->get<std::vector<std::string>>();
  }
  const std::string& file() const { return file_; }
  std::string named(const char* key) const { return place_.empty() ? key : place_ + "." + key; }

 private:
  const Json& json_;
  std::string file_, place_;
};

// What would change the numbers and is not read here.
void refuse_others(const Keys& keys) {
  for (const char* key : {"fan_in_fan_out", "lora_bias", "use_qalora"})
    if (keys.flag(key)) keys.fail(key, "false");
  if (keys.text("bias", "none") != "none") keys.fail("bias", "\"none\"");
  for (const char* key : {"target_parameters", "trainable_token_indices", "layer_replication",
                          "alora_invocation_tokens"})
    if (const Json* value = keys.find(key); value && !value->empty()) keys.fail(key, "nothing");
  if (const Json* how = keys.find("init_lora_weights"); how && how->is_string())
    for (const char* changes_base : {"pissa", "olora", "corda", "loftq"})
      if (how->get<std::string>().starts_with(changes_base))
        keys.fail("init_lora_weights", "a start that leaves the base as it was");
}

// A list of ends of paths, or one text, which is a pattern.
void read_targets(const Keys& keys, const char* key, std::vector<std::string>& list,
                  std::string& pattern) {
  const Json* value = keys.find(key);
  if (value && value->is_string())
    pattern = value->get<std::string>();
  else
    list = keys.texts(key);
}

template <class T, class Read>
std::map<std::string, T> read_pattern(const Keys& keys, const char* key, const Read& read) {
  std::map<std::string, T> all;
  const Json* value = keys.find(key);
  if (!value) return all;
  Keys inner(*value, keys.file(), key);
  for (const auto& [name, number] : value->items()) all[name] = read(inner, name.c_str());
  return all;
}

}  // namespace

LoRAConfiguration read_mlx_configuration(const Json& json, const std::string& file) {
  Keys keys(json, file);
  LoRAConfiguration c;
  c.fine_tune_type = keys.text("fine_tune_type", "lora");
  bool full = c.fine_tune_type == "full";
  if (!full && c.fine_tune_type != "lora" && c.fine_tune_type != "dora")
    keys.fail("fine_tune_type", "\"lora\", \"dora\" or \"full\"");
  c.num_layers = keys.whole("num_layers", -1, full ? std::optional(-1) : std::nullopt);
  if (full) return c;
  if (!keys.find("lora_parameters")) keys.fail("lora_parameters", "an object");
  Keys inner(*keys.find("lora_parameters"), file, "lora_parameters");
  c.lora_parameters.rank = inner.whole("rank", 1, std::nullopt);
  c.lora_parameters.scale = inner.number("scale", std::nullopt);
  c.lora_parameters.dropout = inner.dropout("dropout");
  if (inner.find("keys")) c.lora_parameters.keys = inner.texts("keys");
  return c;
}

PeftConfiguration read_peft_configuration(const Json& json, const std::string& file) {
  Keys keys(json, file);
  if (keys.text("peft_type", "") != "LORA") keys.fail("peft_type", "\"LORA\"");
  refuse_others(keys);
  PeftConfiguration c;
  c.rank = keys.whole("r", 1, std::nullopt);
  c.alpha = keys.number("lora_alpha", std::nullopt);
  c.dropout = keys.dropout("lora_dropout");
  c.root_scale = keys.flag("use_rslora");
  c.dora = keys.flag("use_dora");
  c.rank_pattern = read_pattern<int>(keys, "rank_pattern", [](const Keys& k, const char* name) {
    return k.whole(name, 1, std::nullopt);
  });
  c.alpha_pattern = read_pattern<float>(keys, "alpha_pattern", [](const Keys& k, const char* name) {
    return k.number(name, std::nullopt);
  });
  read_targets(keys, "target_modules", c.targets, c.target_pattern);
  read_targets(keys, "exclude_modules", c.excluded, c.excluded_pattern);
  c.all_linear = c.target_pattern == "all-linear";
  const Json* layers = keys.find("layers_to_transform");
  Json list = layers && layers->is_number() ? Json::array({*layers}) : layers ? *layers : Json();
  for (const Json& one : list) {
    if (!one.is_number_unsigned()) keys.fail("layers_to_transform", "a layer or a list of layers");
    c.layers.push_back(one.get<int64_t>());
  }
  c.modules_to_save = keys.texts("modules_to_save");
  return c;
}

LoRAConfiguration nearest_configuration(const PeftConfiguration& peft) {
  LoRAConfiguration c{.fine_tune_type = peft.dora ? "dora" : "lora", .num_layers = -1};
  auto rank = static_cast<float>(peft.rank);
  c.lora_parameters.rank = peft.rank;
  c.lora_parameters.scale = peft.alpha / (peft.root_scale ? std::sqrt(rank) : rank);
  c.lora_parameters.dropout = peft.dropout;
  if (!peft.targets.empty()) c.lora_parameters.keys = peft.targets;
  return c;
}

}  // namespace tarn::lm
