// Conversations as files: a prompt cache in mlx-lm's form, with the transcript, the tokens that the
// cache stands for and the model it belongs to in its metadata.
#include <algorithm>
#include <bit>

#include "base/hash.h"
#include "base/json.h"
#include "base/json_text.h"
#include "base/printable.h"
#include "base/require.h"
#include "lm/session/session.h"
#include "lm/session/turn.h"

namespace tarn::lm {
namespace {

constexpr const char* key = "tarn.chat";
constexpr int version = 1;

Json json_of(const Message& m) {
  Json out{{"role", m.role}, {"content", m.content}};
  for (const auto& call : m.tool_calls)
    out["tool_calls"].push_back(
        {{"name", call.name}, {"arguments", call.arguments}, {"id", call.id}});
  if (!m.tool_call_id.empty()) out["tool_call_id"] = m.tool_call_id;
  if (!m.name.empty()) out["name"] = m.name;
  return out;
}

Message message_of(const Json& in) {
  Message m{.role = in.at("role"), .content = in.at("content")};
  if (auto calls = in.find("tool_calls"); calls != in.end())
    for (const auto& call : *calls)
      m.tool_calls.push_back({call.at("name"), call.at("arguments"), call.at("id")});
  m.tool_call_id = in.value("tool_call_id", "");
  m.name = in.value("name", "");
  return m;
}

Json json_of(const CacheOptions& o) {
  return {
      {"dtype", name_of(o.dtype)},  {"max_size", o.max_size},    {"keep", o.keep}, {"bits", o.bits},
      {"group_size", o.group_size}, {"start", o.quantised_start}};
}

CacheOptions options_of(const Json& in, const std::string& file) {
  std::string name = in.at("dtype");
  const Dtype known[] = {float32, float16, bfloat16};
  auto dtype =
      std::find_if(std::begin(known), std::end(known), [&](Dtype d) { return name == name_of(d); });
  require<FileError>(dtype != std::end(known), "[ChatSession] {}: `{}` is no type of a cache.",
                     file, printable(name));
  return {.dtype = *dtype,
          .max_size = in.at("max_size"),
          .keep = in.at("keep"),
          .bits = in.at("bits"),
          .group_size = in.at("group_size"),
          .quantised_start = in.at("start")};
}

// The sequence that a file holds. A cache that was still to be quantised does not know it any more:
// it is computed again.
Session sequence_of(Cache cache, std::vector<int32_t> tokens, CacheOptions options,
                    nn::AdapterChoice adapter) {
  if (tokens.empty() || (options.bits > 0 && cache.length() < options.quantised_start)) return {};
  cache.options = options, cache.adapter = std::move(adapter);
  Session s{.tokens = std::move(tokens)};
  s.pass.rows.push_back(std::move(cache));
  return s;
}

std::string text_of(const Hash& hash) { return fmt::format("{:016x}{:016x}", hash.a, hash.b); }

void add_numbers(Hash& hash, const array& a) {
  constexpr size_t samples = 64;
  const auto* bytes = a.data<unsigned char>();
  size_t count = a.data_size() * a.itemsize(), step = std::max<size_t>(count / samples, 1);
  for (size_t at = 0; at < count; at += step) hash.add(uint64_t{bytes[at]});
}

// Adapters on request are another matter: a conversation may have begun before they were loaded.
std::string fingerprint_for_all(Model model) {
  model.matrices([](const std::string&, nn::Matrix& m) {
    std::erase_if(m.low_rank.terms, [](const nn::LowRank& t) { return t.on_request; });
    if (m.low_rank.empty()) m.low_rank = {};
  });
  return fingerprint(model);
}

// Of the numbers of an adapter on request, for what was computed with them.
std::string fingerprint_of(Model model, const std::string& adapter) {
  Hash hash;
  model.matrices([&](const std::string& path, nn::Matrix& m) {
    for (const nn::LowRank& t : m.low_rank.terms) {
      if (t.adapter != adapter) continue;
      hash.add(path);
      hash.add(uint64_t{std::bit_cast<uint32_t>(t.scale)});
      add_numbers(hash, t.lora_a), add_numbers(hash, t.lora_b);
      if (t.m) add_numbers(hash, *t.m);
    }
  });
  return text_of(hash);
}

void check_model(const Json& saved, const LanguageModel& model, const std::string& file) {
  require<FileError>(saved.at("fingerprint") == fingerprint_for_all(model.model),
                     "[ChatSession] {} belongs to the model {}, and this is {} with other weights. "
                     "Load that model, or begin a new conversation.",
                     file, printable(saved.at("name").get<std::string>()), printable(model.name));
}

}  // namespace

std::string fingerprint(const Model& model) {
  Hash hash;
  auto shape = model.shape();
  for (int64_t size : {shape.layers, shape.hidden_size, shape.vocabulary, shape.context})
    hash.add(static_cast<uint64_t>(size));
  Model copy = model;  // shares the arrays
  copy.parameters([&](const std::string& path, array& a) {
    hash.add(path);
    hash.add(name_of(a.dtype()));
    for (int64_t n : a.shape()) hash.add(static_cast<uint64_t>(n));
    if (a.size() > 0) add_numbers(hash, a);
  });
  return text_of(hash);
}

void ChatSession::save(const std::filesystem::path& file) const {
  Busy busy(impl_);
  auto model = impl_->current_model();
  const Session& memory = impl_->memory;
  Cache cache = memory.tokens.empty() ? model->model.new_cache() : memory.pass.rows[0];
  Json chat{{"version", version},
            {"cache", json_of(cache.options)},
            {"adapter",
             {{"name", cache.adapter.name},
              {"weight", cache.adapter.weight},
              {"fingerprint", fingerprint_of(model->model, cache.adapter.name)}}},
            {"model", {{"name", model->name}, {"fingerprint", fingerprint_for_all(model->model)}}},
            {"instructions", impl_->options.instructions},
            {"messages", Json::array()},
            {"dropped", impl_->dropped},
            {"tokens", memory.tokens}};
  for (const auto& m : impl_->messages) chat["messages"].push_back(json_of(m));
  save_cache(file.string(), cache, {{key, json_text(chat)}});
}

void ChatSession::restore(const std::filesystem::path& file) {
  Busy busy(impl_);
  auto model = impl_->current_model();
  std::string name = file.string();
  auto [cache, metadata] = load_cache(name);
  auto text = metadata.find(key);
  require<FileError>(text != metadata.end(),
                     "[ChatSession] {} is a prompt cache without a conversation.", name);
  Json chat = parse_json(text->second, name);
  std::vector<Message> messages;
  std::vector<int32_t> tokens;
  CacheOptions options;
  nn::AdapterChoice adapter;
  bool has_adapter = true;
  std::optional<std::string> instructions;
  size_t dropped = 0;
  try {
    require<FileError>(chat.at("version") == version,
                       "[ChatSession] {} has version {} of the form, this build reads {}.", name,
                       printable(chat.at("version").dump()), version);
    check_model(chat.at("model"), *model, name);
    for (const auto& m : chat.at("messages")) messages.push_back(message_of(m));
    dropped = chat.at("dropped").get<size_t>();
    tokens = chat.at("tokens").get<std::vector<int32_t>>();
    options = options_of(chat.at("cache"), name);
    // Older files do not say.
    if (auto with = chat.find("adapter"); with != chat.end()) {
      adapter = {with->at("name"), with->at("weight")};
      has_adapter = adapter.name.empty() ||
                    with->value("fingerprint", "") == fingerprint_of(model->model, adapter.name);
    }
    if (auto told = chat.find("instructions"); told != chat.end())
      instructions = told->get<std::string>();
  } catch (const Json::exception& error) {
    fail<FileError>("[ChatSession] {}: the conversation is damaged: {}.", name,
                    printable(error.what()));
  }
  auto length = static_cast<size_t>(cache.length());
  require<FileError>(length == tokens.size(),
                     "[ChatSession] {}: the conversation has {} tokens and its cache {}.", name,
                     tokens.size(), length);
  require<FileError>(dropped <= messages.size(),
                     "[ChatSession] {}: {} of {} messages cannot have been dropped.", name, dropped,
                     messages.size());
  require<FileError>(static_cast<int64_t>(cache.layers.size()) == model->model.shape().layers,
                     "[ChatSession] {} has {} layers, the model {}.", name, cache.layers.size(),
                     model->model.shape().layers);
  impl_->messages = std::move(messages);
  impl_->dropped = dropped;
  if (instructions) impl_->options.instructions = std::move(*instructions);
  // Computed with an adapter that is not in the model, or is another by now: it is computed again.
  if (!has_adapter) tokens.clear();
  impl_->memory = sequence_of(std::move(cache), std::move(tokens), options, std::move(adapter));
}

}  // namespace tarn::lm
