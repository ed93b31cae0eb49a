// Conversations as prompts.
#include "base/json.h"
#include "base/json_text.h"
#include "base/printable.h"
#include "base/require.h"
#include "tarn/lm/load.h"

namespace tarn::lm {
namespace {

// As templates expect it: tools' calls and their results have members of their own.
OrderedJson json_of(const Message& m) {
  OrderedJson out{{"role", m.role}, {"content", m.content}};
  for (const auto& call : m.tool_calls) {
    OrderedJson one{{"type", "function"}};
    if (!call.id.empty()) one["id"] = call.id;
    one["function"] = {{"name", call.name},
                       {"arguments", parse_ordered_json(call.arguments, "a call's arguments")}};
    out["tool_calls"].push_back(std::move(one));
  }
  if (!m.tool_call_id.empty()) out["tool_call_id"] = m.tool_call_id;
  if (!m.name.empty()) out["name"] = m.name;
  return out;
}

OrderedJson json_of(const ToolSpec& tool) {
  return {
      {"type", "function"},
      {"function",
       {{"name", tool.name},
        {"description", tool.description},
        {"parameters", parse_ordered_json(tool.parameters, "the parameters of " + tool.name)}}}};
}

RenderedPrompt rendered(const LanguageModel& lm, const std::vector<Message>& messages,
                        const RenderOptions& options) {
  require(lm.chat_template.has_value(),
          "[chat] {} has no chat template. Use the prompt as it stands (--raw).", lm.name);
  OrderedJson variables = OrderedJson::object();
  if (!options.context.empty())
    variables = parse_ordered_json(options.context, "the additional context");
  require(variables.is_object(), "[chat] the additional context is no JSON object.");
  for (const auto& [name, value] : variables.items())
    require(!name.ends_with("_token"),
            "[chat] the additional context names {}; what ends in _token is the vocabulary's.",
            printable(name));
  variables["messages"] = OrderedJson::array();
  for (const auto& m : messages) variables["messages"].push_back(json_of(m));
  for (const auto& tool : options.tools) variables["tools"].push_back(json_of(tool));
  variables["add_generation_prompt"] = options.add_generation_prompt;
  auto text = [&](std::optional<int32_t> id) {
    return id ? std::string(lm.tokenizer.token_text(*id)) : std::string();
  };
  variables["bos_token"] = text(lm.tokenizer.bos());
  variables["eos_token"] = text(lm.tokenizer.eos());
  // Invalid UTF-8 in a message becomes U+FFFD, as everywhere.
  return lm.chat_template->render_marked(json_text(variables));
}

}  // namespace

std::string LanguageModel::render(const std::vector<Message>& messages,
                                  const RenderOptions& options) const {
  return rendered(*this, messages, options).text;
}

std::vector<int32_t> LanguageModel::encode_chat(const std::vector<Message>& messages,
                                                const RenderOptions& options) const {
  RenderedPrompt prompt = rendered(*this, messages, options);
  return tokenizer.encode(
      prompt.text, {.add_special_tokens = false, .parse_special = true, .foreign = prompt.foreign});
}

}  // namespace tarn::lm
