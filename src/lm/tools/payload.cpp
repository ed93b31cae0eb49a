#include "lm/tools/payload.h"

#include <algorithm>

#include "base/json_text.h"
#include "base/printable.h"
#include "tarn/error.h"

namespace tarn::lm::tools {
namespace {

using Reason = RejectedToolCall::Reason;

// Takes the text between two marks out of `from`, which then begins behind the second one.
std::optional<std::string_view> between(std::string_view& from, std::string_view begin,
                                        std::string_view end) {
  size_t start = from.find(begin);
  if (start == std::string_view::npos) return std::nullopt;
  start += begin.size();
  size_t stop = from.find(end, start);
  if (stop == std::string_view::npos) return std::nullopt;
  auto found = from.substr(start, stop - start);
  from.remove_prefix(stop + end.size());
  return found;
}

std::string text_at(const Json& object, const char* key) {
  auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : "";
}

ToolCall call_of(const Json& object, const Schemas& schemas) {
  if (!object.is_object())
    reject(Reason::malformed_syntax, "", "A JSON object with name and arguments is needed.");
  std::string name = text_at(object, "name");
  auto it = object.find("arguments");
  if (it == object.end()) it = object.find("parameters");
  Json arguments = it == object.end() ? Json::object() : *it;
  if (arguments.is_string()) arguments = json_of(arguments.get<std::string>(), name);
  return checked(name, arguments, schemas, text_at(object, "id"));
}

std::string_view unquoted(std::string_view text) {
  text = trimmed(text);
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  return text;
}

// Parameters as elements: <open KEY between>VALUE close.
Json elements(std::string_view text, std::string_view open, std::string_view middle,
              std::string_view close, const std::string& name, const Schemas& schemas) {
  Json arguments = Json::object();
  while (auto element = between(text, open, close)) {
    size_t cut = element->find(middle);
    if (cut == std::string_view::npos)
      reject(Reason::malformed_syntax, name, "A parameter lacks `{}`.", middle);
    std::string key(unquoted(element->substr(0, cut)));
    arguments[key] = typed(element->substr(cut + middle.size()), name, key, schemas);
  }
  if (text.find(open) != std::string_view::npos)
    reject(Reason::malformed_syntax, name, "A parameter lacks `{}`.", close);
  return arguments;
}

// How a form writes calls as elements: what it names, and the texts around names and values.
struct Tags {
  std::string_view called, open, close, parameter;
};
Calls tagged_calls(std::string_view payload, const Tags& tags, const Schemas& schemas) {
  Calls calls;
  while (auto call = between(payload, tags.open, tags.close)) {
    size_t cut = call->find('>');
    if (cut == std::string_view::npos)
      reject(Reason::malformed_syntax, "", "`>` is needed after the name of the {}.", tags.called);
    std::string name(unquoted(call->substr(0, cut)));
    Json arguments =
        elements(call->substr(cut + 1), tags.parameter, ">", "</parameter>", name, schemas);
    calls.push_back(checked(name, arguments, schemas));
  }
  if (calls.empty())
    reject(Reason::malformed_syntax, "", "`{}NAME>` … `{}` is needed.", tags.open, tags.close);
  return calls;
}

Calls gemma_calls(std::string_view payload, std::string_view quote, const Schemas& schemas) {
  LooseReader reader(payload, quote);
  Calls calls;
  while (!reader.at_end()) {
    if (!reader.take("call:")) reject(Reason::malformed_syntax, "", "`call:` is needed.");
    std::string name = reader.word("{");
    if (!reader.take("{")) reject(Reason::malformed_syntax, name, "`{{` is needed after the name.");
    calls.push_back(checked(name, reader.members(':', '}'), schemas));
  }
  return calls;
}

}  // namespace

Json json_of(std::string_view text, const std::string& name) {
  try {
    return parse_json(trimmed(text), "the call");
  } catch (const Error& error) {
    reject(Reason::malformed_syntax, name, "{}", error.message());
  }
}

ToolCall checked(std::string name, const Json& arguments, const Schemas& schemas, std::string id) {
  if (name.empty()) reject(Reason::missing_tool_name, "", "The call names no tool.");
  auto schema = schemas.find(name);
  if (schema == schemas.end()) {
    std::vector<std::string> known;
    for (const auto& [tool, declared] : schemas) known.push_back(tool);
    std::sort(known.begin(), known.end());
    reject(Reason::undeclared_tool, name, "There is no tool `{}`; there are: {}.", printable(name),
           joined(known));
  }
  if (!arguments.is_object())
    reject(Reason::invalid_arguments, name, "The arguments are {}, an object is needed.",
           printable(json_text(arguments), 40));
  if (auto needed = schema->second.find("required");
      needed != schema->second.end() && needed->is_array())
    for (const auto& key : *needed)
      if (key.is_string() && !arguments.contains(key.get<std::string>()))
        reject(Reason::invalid_arguments, name, "`{}` is missing, which {} requires.",
               key.get<std::string>(), name);
  return {std::move(name), json_text(arguments), std::move(id)};
}

Json typed(std::string_view text, const std::string& tool, const std::string& key,
           const Schemas& schemas) {
  std::string type;
  if (auto schema = schemas.find(tool); schema != schemas.end())
    if (auto all = schema->second.find("properties");
        all != schema->second.end() && all->is_object())
      if (auto property = all->find(key); property != all->end() && property->is_object())
        type = text_at(*property, "type");
  // A line break on either side of the value belongs to the layout.
  if (text.starts_with('\n')) text.remove_prefix(1);
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (type == "string") return std::string(text);
  Json value = Json::parse(trimmed(text), nullptr, false);
  if (!value.is_discarded()) return value;
  auto word = trimmed(text);
  if (word == "True" || word == "False") return word == "True";
  if (word == "None") return nullptr;
  if (!type.empty())
    reject(Reason::invalid_arguments, tool, "`{}` is `{}`, which is no {}.", key,
           printable(text, 40), type);
  return std::string(text);
}

Calls read_json(std::string_view payload, const Schemas& schemas) {
  Json all = json_of(payload, "");
  if (!all.is_array()) return {call_of(all, schemas)};
  Calls calls;
  for (const auto& one : all) calls.push_back(call_of(one, schemas));
  return calls;
}

Calls read_python(std::string_view payload, const Schemas& schemas) {
  LooseReader reader(payload, "");
  Calls calls;
  bool list = reader.take("[");
  while (!reader.at_end() && !(list && reader.take("]"))) {
    std::string name = reader.word("(,]");
    if (!reader.take("(")) reject(Reason::malformed_syntax, name, "`(` is needed after the name.");
    calls.push_back(checked(name, reader.members('=', ')'), schemas));
    reader.take(",");
  }
  if (!reader.at_end())
    reject(Reason::malformed_syntax, "", "Something stands behind the list of calls.");
  return calls;
}

Calls read_xml_function(std::string_view payload, const Schemas& schemas) {
  return tagged_calls(payload, {"function", "<function=", "</function>", "<parameter="}, schemas);
}

Calls read_json_or_xml(std::string_view payload, const Schemas& schemas) {
  return trimmed(payload).starts_with('<') ? read_xml_function(payload, schemas)
                                           : read_json(payload, schemas);
}

Calls read_glm(std::string_view payload, const Schemas& schemas) {
  size_t cut = std::min(payload.find("<arg_key>"), payload.size());
  std::string name(trimmed(payload.substr(0, cut)));
  Json arguments = Json::object();
  auto rest = payload.substr(cut);
  while (auto key = between(rest, "<arg_key>", "</arg_key>")) {
    auto value = between(rest, "<arg_value>", "</arg_value>");
    std::string text(trimmed(*key));
    if (!value) reject(Reason::malformed_syntax, name, "`{}` has no value.", printable(text));
    arguments[text] = typed(*value, name, text, schemas);
  }
  return {checked(name, arguments, schemas)};
}

Calls read_gemma(std::string_view payload, const Schemas& schemas) {
  return gemma_calls(payload, "<escape>", schemas);
}
Calls read_gemma4(std::string_view payload, const Schemas& schemas) {
  return gemma_calls(payload, "<|\"|>", schemas);
}

Calls read_kimi(std::string_view payload, const Schemas& schemas) {
  Calls calls;
  while (auto one = between(payload, "<|tool_call_begin|>", "<|tool_call_end|>")) {
    constexpr std::string_view middle = "<|tool_call_argument_begin|>";
    size_t cut = one->find(middle);
    if (cut == std::string_view::npos)
      reject(Reason::malformed_syntax, "", "`{}` is needed after the name.", middle);
    std::string id(trimmed(one->substr(0, cut)));
    std::string name = id.substr(0, id.rfind(':'));
    if (name.starts_with("functions.")) name.erase(0, 10);
    calls.push_back(
        checked(name, json_of(one->substr(cut + middle.size()), name), schemas, std::move(id)));
  }
  if (calls.empty())
    reject(Reason::malformed_syntax, "", "`<|tool_call_begin|>` … `<|tool_call_end|>` is needed.");
  return calls;
}

Calls read_minimax(std::string_view payload, const Schemas& schemas) {
  return tagged_calls(payload, {"tool", "<invoke name=", "</invoke>", "<parameter name="}, schemas);
}

// name[ARGS]{…}, name[CALL_ID]id[ARGS]{…}, or the older list of objects.
Calls read_mistral(std::string_view payload, const Schemas& schemas) {
  payload = trimmed(payload);
  if (payload.starts_with('[') || payload.starts_with('{')) return read_json(payload, schemas);
  constexpr std::string_view args = "[ARGS]", call_id = "[CALL_ID]";
  size_t cut = payload.find(args);
  if (cut == std::string_view::npos)
    reject(Reason::malformed_syntax, std::string(trimmed(payload.substr(0, payload.find('{')))),
           "`[ARGS]` is needed after the name.");
  auto head = payload.substr(0, cut);
  size_t id_at = head.find(call_id);
  std::string name(trimmed(head.substr(0, id_at)));
  std::string id;
  if (id_at != std::string_view::npos) id = trimmed(head.substr(id_at + call_id.size()));
  return {checked(name, json_of(payload.substr(cut + args.size()), name), schemas, std::move(id))};
}

// CHANNEL to=functions.NAME …<|message|>{…}; other channels carry no calls.
Calls read_harmony(std::string_view payload, const Schemas& schemas) {
  constexpr std::string_view to = "to=functions.", message = "<|message|>";
  size_t cut = payload.find(message), at = payload.substr(0, cut).find(to);
  if (cut == std::string_view::npos || at == std::string_view::npos) return {};
  auto head = payload.substr(at + to.size(), cut - at - to.size());
  std::string name(head.substr(0, std::min(head.find_first_of(" <\n"), head.size())));
  return {checked(name, json_of(payload.substr(cut + message.size()), name), schemas)};
}

}  // namespace tarn::lm::tools
