// A model in a folder: config.json, safetensors, tokenizer.json and its companions.
#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/printable.h"
#include "base/require.h"
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

Grouping grouping_of(const Json& config, const std::string& path, const std::string& file) {
  auto it = config.find("quantization");
  if (it == config.end()) return {};
  const Json* q = &*it;
  if (auto own = it->find(path); own != it->end() && own->is_object()) q = &*own;
  auto number = [&](const char* key, int otherwise) {
    auto value = q->find(key);
    if (value == q->end()) return otherwise;
    require<FileError>(value->is_number_unsigned() && value->get<uint64_t>() <= 1024,
                       "[load] {}: `quantization` has {} {}, a small number is needed.", file, key,
                       printable(value->dump()));
    return value->get<int>();
  };
  return {number("group_size", 64), number("bits", 4)};
}

// Whether the output layer shares the embedding: by the config or, where it does not say, by the
// lack of a weight.
bool is_tied(const Json& config, const std::unordered_map<std::string, array>& weights,
             const std::string& file) {
  auto it = config.find("tie_word_embeddings");
  if (it == config.end() || it->is_null()) return weights.count("lm_head.weight") == 0;
  require<FileError>(it->is_boolean(), "[load] {}: `tie_word_embeddings` is {}, not true or false.",
                     file, printable(it->dump()));
  return it->get<bool>();
}

std::string text_in(const Json& object, const char* key) {
  auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
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

}  // namespace

LanguageModel load_model_folder(const std::filesystem::path& folder, const LoadOptions& options) {
  auto config_file = folder / "config.json", tokenizer_file = folder / "tokenizer.json";
  for (const auto& needed : {config_file, tokenizer_file})
    require<FileError>(std::filesystem::exists(needed), "[load] {} has no {}.", folder.string(),
                       needed.filename().string());
  Json config = load_json(config_file.string());
  LanguageModel lm;
  require<FileError>(config.is_object(), "[load] {}: a JSON object is needed.",
                     config_file.string());
  lm.name = (folder / "").parent_path().filename().string();
  auto [weights, metadata] = load_safetensors_dir(folder.string());
  for (auto it = weights.begin(); it != weights.end();)
    it = it->first.find("rotary_emb.inv_freq") != std::string::npos ? weights.erase(it) : ++it;
  bool tied = is_tied(config, weights, config_file.string());
  config["tie_word_embeddings"] = tied;
  lm.model = make_model(config, config_file.string());
  if (tied) weights.erase("lm_head.weight");
  require<Cancelled>(!options.stop.stop_requested(), "[load] stopped on request.");
  fill_parameters(
      lm.model, std::move(weights),
      [&](const std::string& path) { return grouping_of(config, path, config_file.string()); },
      folder.string());
  auto config_text_file = folder / "tokenizer_config.json";
  std::string tokenizer_config =
      std::filesystem::exists(config_text_file) ? read_text(config_text_file) : "{}";
  lm.tokenizer =
      Tokenizer::from_json(read_text(tokenizer_file), tokenizer_file.string(), tokenizer_config);
  lm.chat_template = template_of(folder, parse_json(tokenizer_config, config_text_file.string()));
  if (config.contains("eos_token_id")) add_ids(config["eos_token_id"], lm.stop_ids);
  if (auto file = folder / "generation_config.json"; std::filesystem::exists(file)) {
    Json g = load_json(file.string());
    if (g.contains("eos_token_id")) add_ids(g["eos_token_id"], lm.stop_ids);
  }
  if (auto eos = lm.tokenizer.eos()) lm.stop_ids.push_back(*eos);
  std::sort(lm.stop_ids.begin(), lm.stop_ids.end());
  lm.stop_ids.erase(std::unique(lm.stop_ids.begin(), lm.stop_ids.end()), lm.stop_ids.end());
  return lm;
}

}  // namespace tarn::lm
