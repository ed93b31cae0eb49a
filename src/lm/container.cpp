#include "tarn/lm/container.h"

#include <atomic>
#include <mutex>
#include <thread>

#include "base/require.h"
#include "tarn/memory.h"

namespace tarn::lm {

UserInput::UserInput(std::string prompt) : messages{{"user", std::move(prompt)}} {}

LMInput prepare(const LanguageModel& model, const UserInput& input) {
  if (!model.chat_template) {
    std::string text;
    for (const auto& message : input.messages)
      text += (text.empty() ? "" : "\n\n") + message.content;
    return {model.tokenizer.encode(text, {.add_special_tokens = true, .parse_special = false}),
            input.tools};
  }
  RenderOptions options{.tools = input.tools, .context = input.additional_context};
  return {model.encode_chat(input.messages, options), input.tools};
}

namespace {

// Ends a model when the last answer that uses it does. Of one that was unloaded or replaced the
// memory goes back to the system.
struct LastUse {
  std::shared_ptr<std::atomic<bool>> is_unloaded = std::make_shared<std::atomic<bool>>(false);
  void operator()(const LanguageModel* model) const {
    delete model;
    if (*is_unloaded) release_memory();
  }
};

std::shared_ptr<const LanguageModel> held(LanguageModel model) {
  return {new LanguageModel(std::move(model)), LastUse()};
}

void unload_after_use(const std::shared_ptr<const LanguageModel>& model) {
  if (auto* last_use = std::get_deleter<LastUse>(model)) *last_use->is_unloaded = true;
}

}  // namespace

struct ModelContainer::Impl {
  mutable std::mutex mutex{};  // held to copy or exchange the pointer, never while computing
  std::shared_ptr<const LanguageModel> model{};
  std::mutex updating{};  // held by one update from beginning to end
  std::thread::id updater{};
  struct Watcher {
    std::weak_ptr<void> owner{};
    std::function<void()> f{};
  };
  std::vector<Watcher> watchers{};  // guarded by `mutex`

  std::shared_ptr<const LanguageModel> current() const {
    std::lock_guard lock(mutex);
    return model;
  }
  // The former model is let go outside the lock: freeing its weights takes a while.
  void publish(std::shared_ptr<const LanguageModel> next) {
    {
      std::lock_guard lock(mutex);
      model.swap(next);
    }
    next = nullptr;
    tell_watchers();
  }
  void tell_watchers() {
    std::vector<Watcher> all;
    {
      std::lock_guard lock(mutex);
      all = watchers;
    }
    for (const Watcher& watcher : all)
      if (auto owner = watcher.owner.lock()) watcher.f();
  }
};

namespace {

// Makes changes one after the other, and says so where one stands inside another.
class Turn {
 public:
  Turn(std::mutex& turn, std::mutex& mutex, std::thread::id& owner, const char* what)
      : mutex_(mutex), owner_(owner) {
    {
      std::lock_guard lock(mutex_);
      require(
          owner_ != std::this_thread::get_id(),
          "[ModelContainer] {} was called inside of update. Change the model that update gives.",
          what);
    }
    turn_ = std::unique_lock(turn);
    std::lock_guard lock(mutex_);
    owner_ = std::this_thread::get_id();
  }
  ~Turn() {
    std::lock_guard lock(mutex_);
    owner_ = {};
  }

 private:
  std::mutex& mutex_;
  std::thread::id& owner_;
  std::unique_lock<std::mutex> turn_{};
};

}  // namespace

ModelContainer::ModelContainer(LanguageModel model) : impl_(std::make_shared<Impl>()) {
  impl_->model = held(std::move(model));
}

std::shared_ptr<const LanguageModel> ModelContainer::model() const {
  auto now = impl_->current();
  require(now != nullptr, "[ModelContainer] the model was unloaded. load() publishes another.");
  return now;
}

void ModelContainer::update(const std::function<void(LanguageModel&)>& f) {
  Turn turn(impl_->updating, impl_->mutex, impl_->updater, "update");
  LanguageModel next = *model();
  f(next);
  impl_->publish(held(std::move(next)));
}

void ModelContainer::load(LanguageModel model) {
  Turn turn(impl_->updating, impl_->mutex, impl_->updater, "load");
  unload_after_use(impl_->current());
  impl_->publish(held(std::move(model)));
}

void ModelContainer::unload() {
  Turn turn(impl_->updating, impl_->mutex, impl_->updater, "unload");
  unload_after_use(impl_->current());
  impl_->publish(nullptr);
}

bool ModelContainer::is_loaded() const { return impl_->current() != nullptr; }

void ModelContainer::when_published(std::weak_ptr<void> owner, std::function<void()> f) const {
  std::lock_guard lock(impl_->mutex);
  std::erase_if(impl_->watchers, [](const auto& w) { return w.owner.expired(); });
  impl_->watchers.push_back({std::move(owner), std::move(f)});
}

LMInput ModelContainer::prepare(const UserInput& input) const {
  return lm::prepare(*model(), input);
}

Generation ModelContainer::generate(LMInput input, const GenerateParameters& parameters,
                                    Session* session) const {
  return lm::generate(model(), std::move(input), parameters, session);
}

std::vector<int32_t> ModelContainer::encode(std::string_view text, bool add_special_tokens) const {
  return model()->tokenizer.encode(
      text, {.add_special_tokens = add_special_tokens, .parse_special = true});
}

std::string ModelContainer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  return model()->tokenizer.decode(ids, skip_special_tokens);
}

}  // namespace tarn::lm
