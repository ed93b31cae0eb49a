// Conversations as prompts.
#include "base/json.h"
#include "base/require.h"
#include "tarn/lm/load.h"

namespace tarn::lm {
namespace {

RenderedPrompt rendered(const LanguageModel& lm, const std::vector<Message>& messages,
                        bool add_generation_prompt) {
  require(lm.chat_template.has_value(),
          "[chat] {} has no chat template. Use the prompt as it stands (--raw).", lm.name);
  OrderedJson variables;
  variables["messages"] = OrderedJson::array();
  for (const auto& m : messages)
    variables["messages"].push_back({{"role", m.role}, {"content", m.content}});
  variables["add_generation_prompt"] = add_generation_prompt;
  auto text = [&](std::optional<int32_t> id) {
    return id ? std::string(lm.tokenizer.token_text(*id)) : std::string();
  };
  variables["bos_token"] = text(lm.tokenizer.bos());
  variables["eos_token"] = text(lm.tokenizer.eos());
  // Invalid UTF-8 in a message becomes U+FFFD, as everywhere.
  return lm.chat_template->render_marked(
      variables.dump(-1, ' ', false, OrderedJson::error_handler_t::replace));
}

}  // namespace

std::string LanguageModel::render(const std::vector<Message>& messages,
                                  bool add_generation_prompt) const {
  return rendered(*this, messages, add_generation_prompt).text;
}

std::vector<int32_t> LanguageModel::encode_chat(const std::vector<Message>& messages) const {
  RenderedPrompt prompt = rendered(*this, messages, true);
  return tokenizer.encode(prompt.text, {.parse_special = true, .foreign = prompt.foreign});
}

}  // namespace tarn::lm
