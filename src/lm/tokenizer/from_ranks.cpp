// Vocabularies that are lists of byte strings in the order of their merging: `.tiktoken` files and
// Mistral's tekken.json. Two neighbours join if what they make is a token, the earliest first.
#include <charconv>

#include "lm/tokenizer/base64.h"
#include "lm/tokenizer/bpe.h"
#include "lm/tokenizer/gguf_words.h"
#include "lm/tokenizer/json_model.h"
#include "lm/tokenizer/parts.h"

namespace tarn::lm::tokenizer {
namespace {

struct Ranked {
  std::vector<std::string> tokens{};  // by rank, as bytes
  int32_t first_id = 0;               // of rank 0
  struct Special {
    int32_t id = 0;
    std::string content{};
    bool control = true;
  };
  std::vector<Special> specials{};
  std::string pattern{};
};

std::shared_ptr<Parts> make(const Ranked& ranked, const std::string& file) {
  auto parts = std::make_shared<Parts>();
  parts->file = file;
  auto table = std::make_shared<TokenTable>(ranked.tokens.size() + ranked.specials.size(),
                                            ranked.tokens.size() * 8);
  // Those below the special ones come first, so that of equal texts a real token is found.
  for (const auto& special : ranked.specials) table->add(special.id, special.content);
  int32_t id = ranked.first_id;
  for (const std::string& bytes : ranked.tokens) {
    std::string spelled;
    append_byte_level(spelled, bytes);
    table->add(id++, spelled);
  }
  parts->tokens = table;
  parts->splitters.push_back(split_by_pattern(ranked.pattern, file + ": pattern"));
  BpeOptions options;
  options.byte_level = true;
  options.ignore_merges = true;
  parts->model = Bpe::by_rank(table, std::move(options), ranked.first_id,
                              ranked.first_id + static_cast<int32_t>(ranked.tokens.size()));
  parts->decoder.steps.push_back(decode_byte_level());
  for (const auto& special : ranked.specials) {
    AddedToken token;
    token.id = special.id;
    token.content = special.content;
    token.special = special.control;
    parts->add_token(token, true, Deadline::max());
  }
  return parts;
}

// "BASE64 RANK" to the bytes; the ranks must count up.
std::string token_of_line(std::string_view line, size_t rank, const std::string& file) {
  size_t space = line.find(' ');
  size_t number = 0;
  std::string_view digits = space == line.npos ? std::string_view() : line.substr(space + 1);
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  bool good = error == std::errc() && end == digits.data() + digits.size();
  auto bytes = from_base64(line.substr(0, space));
  if (!good || !bytes || bytes->empty())
    fail<FileError>("[load] {}: line {}: `{}` is no token in base64 with its rank.", file, rank + 1,
                    printable(line));
  require<FileError>(number == rank, "[load] {}: line {}: rank {} is needed here, not {}.", file,
                     rank + 1, rank, number);
  return *bytes;
}

// Names that tekken.json files of before 2025 do not spell out.
constexpr std::string_view kMistralSpecials[] = {"<unk>",
                                                 "<s>",
                                                 "</s>",
                                                 "[INST]",
                                                 "[/INST]",
                                                 "[AVAILABLE_TOOLS]",
                                                 "[/AVAILABLE_TOOLS]",
                                                 "[TOOL_RESULTS]",
                                                 "[/TOOL_RESULTS]",
                                                 "[TOOL_CALLS]",
                                                 "[IMG]",
                                                 "<pad>",
                                                 "[IMG_BREAK]",
                                                 "[IMG_END]",
                                                 "[PREFIX]",
                                                 "[MIDDLE]",
                                                 "[SUFFIX]",
                                                 "[SYSTEM_PROMPT]",
                                                 "[/SYSTEM_PROMPT]",
                                                 "[TOOL_CONTENT]"};

std::vector<Ranked::Special> tekken_specials(const Json& root, int32_t count) {
  std::vector<Ranked::Special> out;
  std::vector<bool> named(static_cast<size_t>(count));
  auto add = [&](int32_t id, std::string content, bool control) {
    named[static_cast<size_t>(id)] = true;
    out.push_back({id, std::move(content), control});
  };
  if (auto list = root.find("special_tokens")) {
    for (const Json& item : list->items()) {
      int64_t rank = item.at("rank").integer();
      require<FileError>(rank >= 0 && rank < count,
                         "[load] {}: rank {} lies outside the {} special tokens.", item.where(),
                         rank, count);
      add(static_cast<int32_t>(rank), std::string(item.at("token_str").text()),
          item.flag_or("is_control", true));
    }
  } else {
    for (int32_t id = 0; id < count && id < static_cast<int32_t>(std::size(kMistralSpecials)); ++id)
      add(id, std::string(kMistralSpecials[id]), true);
  }
  for (int32_t id = 0; id < count; ++id)
    if (!named[static_cast<size_t>(id)]) add(id, "<SPECIAL_" + std::to_string(id) + ">", true);
  return out;
}

std::vector<std::string> tekken_tokens(const Json& vocab, size_t count) {
  auto items = vocab.array();
  require<FileError>(count <= items.size(), "[load] {}: {} tokens are needed, {} are there.",
                     vocab.where(), count, items.size());
  std::vector<std::string> out;
  for (auto item : items) {
    if (out.size() == count) break;
    std::string_view text;
    int64_t rank = -1;
    bool good = item["token_bytes"].get(text) == simdjson::SUCCESS &&
                item["rank"].get(rank) == simdjson::SUCCESS;
    auto bytes = good ? from_base64(text) : std::nullopt;
    if (!bytes || bytes->empty() || rank != static_cast<int64_t>(out.size()))
      fail<FileError>("[load] {}[{}]: `token_bytes` in base64 and `rank` {} are needed here.",
                      vocab.where(), out.size(), out.size());
    out.push_back(*bytes);
  }
  return out;
}

}  // namespace

std::shared_ptr<const Parts> parts_from_tiktoken(std::string_view text, const std::string& file,
                                                 const TiktokenOptions& options) {
  Ranked ranked;
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() && text.empty()) break;
    ranked.tokens.push_back(token_of_line(line, ranked.tokens.size(), file));
    require<FileError>(ranked.tokens.size() < TokenTable::kMostIds,
                       "[load] {}: more than {} tokens.", file, TokenTable::kMostIds - 1);
  }
  require<FileError>(!ranked.tokens.empty(), "[load] {}: no tokens.", file);
  auto next = static_cast<int32_t>(ranked.tokens.size());
  for (const std::string& content : options.special_tokens)
    ranked.specials.push_back({next++, content});
  ranked.pattern = options.pattern.empty() ? std::string(kGpt4Pattern) : options.pattern;
  auto parts = make(ranked, file);
  auto named = [&](const std::string& name) {
    return name.empty() ? std::nullopt : parts->tokens->find(name);
  };
  parts->bos = named(options.bos);
  parts->eos = named(options.eos);
  parts->pad = named(options.pad);
  if (parts->bos) parts->prefix.push_back(*parts->bos);
  parts->finish();
  return parts;
}

std::shared_ptr<const Parts> parts_from_tekken(std::string_view text, const std::string& file) {
  JsonDocument document(text, file);
  Json root(document.root(), file);
  Json config = root.at("config");
  int64_t all = config.at("default_vocab_size").integer();
  int64_t specials = config.at("default_num_special_tokens").integer();
  require<FileError>(specials >= 0 && all > specials && all < TokenTable::kMostIds,
                     "[load] {}: {} tokens with {} special ones; fewer special ones than tokens, "
                     "and fewer than {} tokens, are needed.",
                     config.where(), all, specials, TokenTable::kMostIds);
  Ranked ranked;
  ranked.first_id = static_cast<int32_t>(specials);
  ranked.pattern = config.at("pattern").text();
  ranked.specials = tekken_specials(root, ranked.first_id);
  ranked.tokens = tekken_tokens(root.at("vocab"), static_cast<size_t>(all - specials));
  auto parts = make(ranked, file);
  parts->unk = parts->tokens->find("<unk>");
  parts->bos = parts->tokens->find("<s>");
  parts->eos = parts->tokens->find("</s>");
  parts->pad = parts->tokens->find("<pad>");
  if (parts->bos) parts->prefix.push_back(*parts->bos);
  parts->finish();
  return parts;
}

}  // namespace tarn::lm::tokenizer
