// Conversations as prompts.
#include "base/json.h"
#include "base/require.h"
#include "tarn/lm/load.h"

namespace tarn::lm {

std::string LanguageModel::render(const std::vector<Message>& messages,
                                  bool add_generation_prompt) const {
  require(chat_template.has_value(),
          "[chat] {} has no chat template. Use the prompt as it stands (--raw).", name);
  OrderedJson variables;
  variables["messages"] = OrderedJson::array();
  for (const auto& m : messages)
    variables["messages"].push_back({{"role", m.role}, {"content", m.content}});
  variables["add_generation_prompt"] = add_generation_prompt;
  auto text = [&](std::optional<int32_t> id) {
    return id ? std::string(tokenizer.token_text(*id)) : std::string();
  };
  variables["bos_token"] = text(tokenizer.bos());
  variables["eos_token"] = text(tokenizer.eos());
  // Invalid UTF-8 in a message becomes U+FFFD, as everywhere.
  return chat_template->render(
      variables.dump(-1, ' ', false, OrderedJson::error_handler_t::replace));
}

std::vector<int32_t> LanguageModel::encode_chat(const std::vector<Message>& messages) const {
  return tokenizer.encode(render(messages), {.add_special_tokens = false, .parse_special = true});
}

}  // namespace tarn::lm
