#include "base/file.h"
#include "base/printable.h"
#include "base/require.h"
#include "lm/convert/vocabulary.h"
#include "lm/tokenizer/parts.h"
#include "lm/tokenizer/sentence_piece.h"

namespace tarn::lm {
namespace {

namespace fs = std::filesystem;
using namespace tokenizer;

constexpr uint64_t largest_file = uint64_t{1} << 30;

void set(Vocabulary& v, int64_t id, const std::string& text, int32_t type) {
  if (id < 0 || static_cast<size_t>(id) >= v.tokens.size()) return;
  auto at = static_cast<size_t>(id);
  v.tokens[at] = text, v.types[at] = type;
}

std::string merge_of(const Json& merge) {
  return merge.is_string() ? merge.get<std::string>()
                           : merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>();
}

// The larger, the earlier a merge: minus the rank of the first that makes the token.
void score_by_merges(Vocabulary& v) {
  std::unordered_map<std::string, float> ranks;
  for (size_t i = 0; i < v.merges.size(); ++i) {
    std::string made = v.merges[i];
    made.erase(made.find(' ', 1), 1);
    ranks.emplace(std::move(made), -static_cast<float>(i));
  }
  v.scores.assign(v.tokens.size(), -1e9f);
  for (size_t i = 0; i < v.tokens.size(); ++i)
    if (auto it = ranks.find(v.tokens[i]); it != ranks.end()) v.scores[i] = it->second;
  v.merges.clear();
}

bool is_byte(const std::string& token) {
  return token.size() == 6 && token.starts_with("<0x") && token.back() == '>';
}

// SentencePiece's BPE as tokenizer.json holds it: characters, and bytes for those that are unknown.
void make_scored(Vocabulary& v, const Json& json) {
  v.model = "llama", v.pre = "default";
  for (size_t i = 0; i < v.tokens.size(); ++i)
    if (v.types[i] == kNormal && is_byte(v.tokens[i])) v.types[i] = kByte;
  if (auto unk = json["model"].find("unk_token"); unk != json["model"].end() && unk->is_string())
    for (size_t i = 0; i < v.tokens.size(); ++i)
      if (v.tokens[i] == *unk) v.types[i] = kUnknown, v.unk = static_cast<int32_t>(i);
  score_by_merges(v);
  std::string steps = json.value("normalizer", Json()).dump();
  std::string cut = json.value("pre_tokenizer", Json()).dump();
  v.add_space_prefix = steps.find("\"Prepend\"") != steps.npos ||
                       cut.find("\"prepend_scheme\":\"always\"") != cut.npos ||
                       cut.find("\"prepend_scheme\":\"first\"") != cut.npos;
}

void add_marked(Vocabulary& v, const Json& tokens) {
  for (const Json& token : tokens)
    set(v, token.at("id").get<int64_t>(), token.at("content").get<std::string>(),
        token.value("special", true) ? kControl : kUserDefined);
}

Vocabulary from_json(const fs::path& path, size_t rows, const Json& config) {
  std::string file = path.string();
  Json json = load_json(file), none = Json::object();
  const Json& model = json.contains("model") ? json["model"] : none;
  require<FileError>(model.is_object() && model.value("type", "") == "BPE" &&
                         model.contains("vocab") && model["vocab"].is_object(),
                     "[convert] {}: of tokenizer.json files, those with BPE are written to GGUF.",
                     file);
  Vocabulary v{.model = "gpt2", .file = file};
  v.tokens.resize(rows), v.types.assign(rows, kUnused);
  for (const auto& [text, id] : model["vocab"].items()) set(v, id.get<int64_t>(), text, kNormal);
  add_marked(v, json.value("added_tokens", Json::array()));
  for (const Json& merge : model.value("merges", Json::array()))
    v.merges.push_back(merge_of(merge));
  // How text is cut into words; files have names for it, of which these are the families'.
  bool qwen = config["model_type"].get<std::string>().starts_with("qwen");
  v.pre = qwen ? "qwen2" : rows > 100'000 ? "llama-bpe" : "smollm";
  if (model.value("byte_fallback", false)) make_scored(v, json);
  return v;
}

// Tokens that were added to the vocabulary later stand in files of their own.
Vocabulary from_sentence_piece(const fs::path& folder, size_t rows) {
  std::string file = (folder / "tokenizer.model").string();
  Vocabulary v = vocabulary_from_sentence_piece(read_text(file, largest_file), file);
  v.tokens.resize(rows), v.types.resize(rows, kUnused), v.scores.resize(rows, 0);
  if (fs::exists(folder / "tokenizer.json")) {
    Json json = load_json((folder / "tokenizer.json").string());
    for (const Json& token : json.value("added_tokens", Json::array()))
      if (auto id = token.at("id").get<size_t>(); id < rows && v.types[id] != kUnknown)
        add_marked(v, Json::array({token}));
  }
  return v;
}

bool is_sentence_piece_file(const fs::path& file) {
  return fs::exists(file) && read_text(file.string(), largest_file).starts_with("\n");
}

std::optional<int32_t> id_in(const Json& config, const char* key) {
  auto it = config.find(key);
  if (it == config.end()) return std::nullopt;
  const Json& value = it->is_array() && !it->empty() ? it->front() : *it;
  return value.is_number_integer() ? std::optional(value.get<int32_t>()) : std::nullopt;
}

}  // namespace

Vocabulary vocabulary_of_folder(const fs::path& folder, int64_t rows, const Json& config) {
  auto count = static_cast<size_t>(rows);
  Vocabulary v = is_sentence_piece_file(folder / "tokenizer.model")
                     ? from_sentence_piece(folder, count)
                     : from_json(folder / "tokenizer.json", count, config);
  for (size_t i = 0; i < v.tokens.size(); ++i)
    if (v.tokens[i].empty()) v.tokens[i] = fmt::format("[PAD{}]", i);
  if (auto id = id_in(config, "bos_token_id")) v.bos = id;
  if (auto id = id_in(config, "eos_token_id")) v.eos = id;
  auto begun = Tokenizer::from_file(folder).encode("", {.add_special_tokens = true});
  v.add_bos = v.bos && !begun.empty() && begun.front() == *v.bos;
  v.add_eos = v.eos && !begun.empty() && begun.back() == *v.eos;
  return v;
}

void add_vocabulary(std::unordered_map<std::string, GGUFMetaData>& to, const Vocabulary& v) {
  auto put = [&](const char* name, GGUFMetaData value) {
    to.insert_or_assign(std::string("tokenizer.ggml.") + name, std::move(value));
  };
  auto id = [&](const char* name, const std::optional<int32_t>& value) {
    if (value) put(name, array(static_cast<uint32_t>(*value), uint32));
  };
  auto rows = static_cast<int64_t>(v.tokens.size());
  put("model", v.model), put("pre", v.pre.empty() ? "default" : v.pre);
  put("tokens", v.tokens);
  put("token_type", array(v.types.begin(), Shape{rows}, int32));
  if (!v.scores.empty()) put("scores", array(v.scores.begin(), Shape{rows}, float32));
  if (!v.merges.empty()) put("merges", v.merges);
  id("bos_token_id", v.bos), id("eos_token_id", v.eos);
  id("unknown_token_id", v.unk), id("padding_token_id", v.pad);
  put("add_bos_token", array(v.add_bos)), put("add_eos_token", array(v.add_eos));
  if (!is_sentence_piece(v)) return;
  put("add_space_prefix", array(v.add_space_prefix));
  put("remove_extra_whitespaces", array(v.remove_extra_whitespaces));
  if (v.precompiled_charsmap.empty()) return;
  const auto* bytes = reinterpret_cast<const uint8_t*>(v.precompiled_charsmap.data());
  put("precompiled_charsmap",
      array(bytes, Shape{static_cast<int64_t>(v.precompiled_charsmap.size())}, uint8));
}

}  // namespace tarn::lm
