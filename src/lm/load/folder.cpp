// A model in a folder: config.json, safetensors, tokenizer.json and its companions.
#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/printable.h"
#include "base/require.h"
#include "lm/hub/names.h"
#include "lm/load/load.h"
#include "tarn/io.h"

namespace tarn::lm {
namespace {

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  require<FileError>(in.good() || in.eof(), "[load] {} cannot be read.", path.string());
  return text.str();
}

void add_ids(const Json& value, std::vector<int32_t>& to) {
  if (value.is_number_integer()) to.push_back(value.get<int32_t>());
  if (value.is_array())
    for (const auto& v : value)
      if (v.is_number_integer()) to.push_back(v.get<int32_t>());
}

std::string text_in(const Json& object, const char* key) {
  auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// How matrices are packed: one way for all, and ways of their own by path.
Groupings groupings_of(const Json& config, const Architecture& family, const std::string& file) {
  const char* key = config.contains("quantization") ? "quantization" : "quantization_config";
  auto it = config.find(key);
  if (it == config.end() || it->is_null()) return [](const std::string&) { return Grouping{}; };
  require<FileError>(it->is_object(), "[load] {}: `{}` is {}, not an object.", file, key,
                     printable(it->dump()));
  require<FileError>(!it->contains("quant_method"),
                     "[load] {}: weights in the form \"{}\" cannot be read; MLX's quantisation, "
                     "GGUF and weights that are not quantised can.",
                     file, printable(text_in(*it, "quant_method")));
  auto read = [&](const Json& from, Grouping g) {
    auto number = [&](const char* name, int& to) {
      auto value = from.find(name);
      if (value == from.end()) return;
      require<FileError>(value->is_number_unsigned() && value->get<uint64_t>() <= 1024,
                         "[load] {}: `{}` has {} {}, a small number is needed.", file, key, name,
                         printable(value->dump()));
      to = value->get<int>();
    };
    if (auto mode = from.find("mode"); mode != from.end()) {
      require<FileError>(mode->is_string(), "[load] {}: `{}` has mode {}, a text is needed.", file,
                         key, printable(mode->dump()));
      g.mode = mode->get<std::string>();
    }
    number("group_size", g.group_size), number("bits", g.bits);
    return g;
  };
  Grouping all = read(*it, {});
  std::unordered_map<std::string, Grouping> own;
  for (const auto& [path, value] : it->items())
    if (value.is_object()) {
      auto name = family.rename ? family.rename(path) : path;
      // What is not said there is the mode's own, not the other layers'.
      if (name) own[*name] = read(value, value.contains("mode") ? Grouping{} : all);
    }
  return [all, own](const std::string& path) {
    auto found = own.find(path);
    return found == own.end() ? all : found->second;
  };
}

// A chat template is a text, or a list of named ones of which "default" is ours.
std::optional<ChatTemplate> template_of(const std::filesystem::path& folder,
                                        const Json& tokenizer) {
  if (auto file = folder / "chat_template.jinja"; std::filesystem::exists(file))
    return ChatTemplate::parse(read_text(file), file.string());
  auto it = tokenizer.find("chat_template");
  if (it == tokenizer.end()) return std::nullopt;
  if (it->is_string()) return ChatTemplate::parse(it->get<std::string>(), "chat_template");
  if (it->is_array())
    for (const auto& t : *it)
      if (text_in(t, "name") == "default")
        return ChatTemplate::parse(text_in(t, "template"), "chat_template");
  return std::nullopt;
}

void lift(Json& config, const char* key, const Json& from, const char* as = nullptr) {
  if (auto it = from.find(key); it != from.end() && !config.contains(as ? as : key))
    config[as ? as : key] = *it;
}

std::vector<int32_t> stop_ids_of(const Json& config, const std::filesystem::path& folder,
                                 const Tokenizer& tokenizer) {
  std::vector<int32_t> ids;
  if (config.contains("eos_token_id")) add_ids(config["eos_token_id"], ids);
  if (auto file = folder / "generation_config.json"; std::filesystem::exists(file)) {
    Json g = load_json(file.string());
    if (g.is_object() && g.contains("eos_token_id")) add_ids(g["eos_token_id"], ids);
  }
  if (auto eos = tokenizer.eos()) ids.push_back(*eos);
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

}  // namespace

void bring_up_to_date(Json& config) {
  if (auto it = config.find("text_config"); it != config.end() && it->is_object()) {
    Json text = *it;
    for (const auto& [key, value] : text.items())
      if (key != "model_type") config[key] = value;
  }
  auto it = config.find("rope_parameters");
  if (it == config.end() || !it->is_object()) return;
  Json rope = *it;
  if (auto local = rope.find("sliding_attention"); local != rope.end() && local->is_object())
    lift(config, "rope_theta", *local, "rope_local_base_freq");
  if (auto all = rope.find("full_attention"); all != rope.end() && all->is_object())
    rope = Json(*all);
  for (const char* key : {"rope_theta", "partial_rotary_factor"}) lift(config, key, rope);
  if (!config.contains("rope_scaling") || config["rope_scaling"].is_null())
    config["rope_scaling"] = rope;
}

namespace {

Json read_config(const std::filesystem::path& folder) {
  auto file = folder / "config.json";
  require<FileError>(std::filesystem::exists(file), "[load] {} has no config.json.",
                     folder.string());
  Json config = load_json(file.string());
  require<FileError>(config.is_object(), "[load] {}: a JSON object is needed.", file.string());
  bring_up_to_date(config);
  return config;
}

// Of a snapshot in the cache of a hub, models--org--name/snapshots/COMMIT, the model's id.
std::string name_of(const std::filesystem::path& folder) {
  auto path = std::filesystem::absolute(folder / "").parent_path();
  auto above = path.parent_path();
  if (above.filename() == "snapshots")
    if (auto id = hub::id_of_folder(above.parent_path().filename().string())) return *id;
  return path.filename().string();
}

LanguageModel about_folder(const std::filesystem::path& folder, const Json& config) {
  LanguageModel lm;
  lm.name = name_of(folder);
  lm.tokenizer = Tokenizer::from_file(folder);
  auto file = folder / "tokenizer_config.json";
  bool exists = std::filesystem::exists(file);
  lm.chat_template = template_of(folder, exists ? load_json(file.string()) : Json::object());
  lm.stop_ids = stop_ids_of(config, folder, lm.tokenizer);
  return lm;
}

Outline outline_folder(const std::filesystem::path& folder) {
  Outline o{.checkpoint = read_folder(folder)};
  for (const auto& [name, a] : o.checkpoint.weights)
    (name_of_mapped_file(a.data<void>()) ? o.mapped_used : o.weights) += a.nbytes();
  o.mapped = o.mapped_used;
  return o;
}

}  // namespace

Checkpoint read_folder(const std::filesystem::path& folder) {
  Checkpoint c{.config = read_config(folder),
               .config_file = (folder / "config.json").string(),
               .weights_file = folder.string()};
  Architecture family = architecture_of(c.config, c.config_file);
  c.grouping = groupings_of(c.config, family, c.config_file);
  c.weights = load_safetensors_dir(folder.string()).first;
  return c;
}

ModelFiles open_model_folder(const std::filesystem::path& folder) {
  Json config = read_config(folder);
  architecture_of(config, (folder / "config.json").string());
  return {.path = folder,
          .about = [folder, config] { return about_folder(folder, config); },
          .outline = [folder] { return outline_folder(folder); },
          .checkpoint = [folder] { return read_folder(folder); }};
}

}  // namespace tarn::lm
