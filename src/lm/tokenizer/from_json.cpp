// The parts of a tokenizer.json put together. Its `truncation` and `padding` are for batches of a
// fixed width and not looked at: a prompt is never cut silently.
#include "lm/tokenizer/json_model.h"
#include "lm/tokenizer/json_steps.h"

namespace tarn::lm::tokenizer {
namespace {

std::vector<AddedToken> added_tokens_of(const Json& root) {
  std::vector<AddedToken> out;
  auto list = root.find("added_tokens");
  if (!list) return out;
  for (const Json& item : list->items()) {
    AddedToken token;
    token.id = token_id(item, item.at("id").integer());
    token.content = item.at("content").text();
    token.special = item.flag_or("special", false);
    token.single_word = item.flag_or("single_word", false);
    token.left_strip = item.flag_or("lstrip", false);
    token.right_strip = item.flag_or("rstrip", false);
    token.normalized = item.flag_or("normalized", !token.special);
    out.push_back(std::move(token));
  }
  return out;
}

// The vocabulary with the added tokens that it lacks. The model keeps the one without them.
Tokens with_added(const Tokens& tokens, const std::vector<AddedToken>& added) {
  bool all_there = true;
  for (const AddedToken& token : added)
    all_there = all_there && tokens->text(token.id) == token.content;
  if (all_there) return tokens;
  auto table = std::make_shared<TokenTable>(*tokens);
  for (const AddedToken& token : added) table->add(token.id, token.content);
  return table;
}

// `"bos_token": "<s>"`, or an object with a `content`.
std::optional<int32_t> named_token(const Json& config, std::string_view key,
                                   const TokenTable& tokens) {
  auto value = config.find(key);
  if (!value) return std::nullopt;
  return tokens.find(value->is_text() ? value->text() : value->at("content").text());
}

void read_config(std::string_view text, Parts& parts) {
  const std::string file = "tokenizer_config.json beside " + parts.file;
  JsonDocument document(text, file);
  Json config(document.root(), file);
  parts.bos = named_token(config, "bos_token", *parts.tokens);
  parts.eos = named_token(config, "eos_token", *parts.tokens);
  parts.pad = named_token(config, "pad_token", *parts.tokens);
  if (!parts.unk) parts.unk = named_token(config, "unk_token", *parts.tokens);
  // A template in the tokenizer.json says more than these two.
  if (!parts.prefix.empty() || !parts.suffix.empty()) return;
  if (parts.bos && config.flag_or("add_bos_token", false)) parts.prefix.push_back(*parts.bos);
  if (parts.eos && config.flag_or("add_eos_token", false)) parts.suffix.push_back(*parts.eos);
}

void check_template(const Parts& parts) {
  for (const auto* ids : {&parts.prefix, &parts.suffix})
    for (int32_t id : *ids)
      require<FileError>(!parts.tokens->text(id).empty(),
                         "[load] {}: post_processor: id {} is not in the vocabulary.", parts.file,
                         id);
}

}  // namespace

std::shared_ptr<const Parts> parts_from_json(std::string_view text, const std::string& file,
                                             std::string_view tokenizer_config_json) {
  JsonDocument document(text, file);
  Json root(document.root(), file);
  auto parts = std::make_shared<Parts>();
  parts->file = file;
  std::vector<Normalizer> normalizers;
  if (auto json = root.find("normalizer")) append_normalizers(*json, normalizers);
  parts->normalizer = in_sequence(std::move(normalizers), file);
  Splitting splitting;
  if (auto json = root.find("pre_tokenizer")) append_splitters(*json, splitting);
  read_model(root.at("model"), splitting, *parts);
  parts->splitters = std::move(splitting.splitters);
  auto added = added_tokens_of(root);
  // A token that the byte-level model does not know is not spelled in the byte-level alphabet.
  Deadline deadline = deadline_for(text.size());
  Tokens known = parts->tokens;
  parts->tokens = with_added(known, added);
  for (const AddedToken& token : added)
    parts->add_token(token, splitting.byte_level && known->text(token.id) != token.content,
                     deadline);
  if (auto json = root.find("decoder"))
    append_decoders(*json, parts->decoder);
  else
    parts->decoder.joined_by_spaces = true;
  if (auto json = root.find("post_processor")) read_post_processor(*json, *parts);
  check_template(*parts);
  if (!tokenizer_config_json.empty()) read_config(tokenizer_config_json, *parts);
  parts->finish();
  return parts;
}

}  // namespace tarn::lm::tokenizer
