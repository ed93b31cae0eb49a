// What a ChatSession and the answers it is making share.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "tarn/lm/chat_session.h"

namespace tarn::lm {

// What a fork copies.
struct Talk {
  ModelContainer container;
  ChatSessionOptions options{};
  std::vector<Message> messages{};
  size_t dropped = 0;  // of the oldest messages, not shown to the model
  Session memory{};
  std::weak_ptr<const LanguageModel> remembered_by{};

  // The model to answer with. What another one remembered is forgotten.
  std::shared_ptr<const LanguageModel> current_model();
  // The prompt of all messages, made to fit by the overflow policy. Changes `dropped`.
  LMInput prompt(const LanguageModel& model);
  // Parameters as the overflow policy has them.
  GenerateParameters parameters(const LanguageModel& model) const;
};

struct ChatSession::Impl : Talk {
  explicit Impl(Talk talk) : Talk(std::move(talk)) {}
  std::atomic<bool> is_busy = false;
};

// Identifies a model's weights and sizes: equal for the same file loaded twice, different after an
// adapter was applied. It looks at 64 numbers of each parameter.
std::string fingerprint(const Model& model);

}  // namespace tarn::lm
