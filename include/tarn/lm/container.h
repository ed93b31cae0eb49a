// A model that any number of threads use, change, unload and load at the same time.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tarn/lm/generate.h"

namespace tarn::lm {

// What is asked of a model: one message, or a conversation.
struct UserInput {
  std::vector<Message> messages{};
  std::vector<ToolSpec> tools{};
  // The text of a JSON object: more variables for the template, as {"enable_thinking": false}.
  std::string additional_context{};

  UserInput(std::string prompt);  // a user's message
  UserInput(const char* prompt) : UserInput(std::string(prompt)) {}
  UserInput(std::vector<Message> conversation, std::vector<ToolSpec> tool_specs = {},
            std::string context = {})
      : messages(std::move(conversation)),
        tools(std::move(tool_specs)),
        additional_context(std::move(context)) {}
};
// The prompt of a model: by its chat template, or the contents apart by blank lines where it has
// none.
LMInput prepare(const LanguageModel& model, const UserInput& input);

// The model is a value that is published whole: an answer keeps the one it began with, whatever is
// published meanwhile. Copies of a container are the same container.
class ModelContainer {
 public:
  explicit ModelContainer(LanguageModel model);

  // What is published now. Throws ValueError after unload().
  std::shared_ptr<const LanguageModel> model() const;
  // f(model), with one model from beginning to end.
  template <class F>
  auto perform(F&& f) const {
    auto held = model();
    return std::forward<F>(f)(*held);
  }

  // Changes a copy, which shares every array, and publishes it. Where f throws, nothing has
  // happened. Updates come one after the other; answers do not wait for them. Throws ValueError
  // inside of another update of this container.
  void update(const std::function<void(LanguageModel&)>& f);
  // Publishes another model.
  void load(LanguageModel model);
  // Publishes none. The weights go when the last answer that uses them ends. Then, as after load(),
  // all memory that is kept for reuse goes back to the system (tarn::release_memory).
  void unload();
  bool is_loaded() const;
  // Calls f after each change of what is published, from the thread that made it, for as long as
  // `owner` lives.
  void when_published(std::weak_ptr<void> owner, std::function<void()> f) const;

  LMInput prepare(const UserInput& input) const;
  // Throws ValueError for an input that the model cannot take. See lm::generate.
  Generation generate(LMInput input, const GenerateParameters& parameters = {},
                      Session* session = nullptr) const;

  std::vector<int32_t> encode(std::string_view text, bool add_special_tokens = true) const;
  std::string decode(std::span<const int32_t> ids, bool skip_special_tokens = false) const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace tarn::lm
