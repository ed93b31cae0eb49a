#include "tarn/lm/chat_session.h"

#include <algorithm>

#include "base/require.h"
#include "lm/session/session.h"
#include "lm/session/turn.h"

namespace tarn::lm {

ChatSession::ChatSession(ModelContainer container, ChatSessionOptions options,
                         std::vector<Message> history)
    : impl_(std::make_shared<Impl>(
          Talk{std::move(container), std::move(options), std::move(history)})) {}
ChatSession::ChatSession(ChatSession&&) noexcept = default;
ChatSession& ChatSession::operator=(ChatSession&&) noexcept = default;
ChatSession::~ChatSession() = default;

ChatSession ChatSession::fork() const {
  Busy busy(impl_);
  return ChatSession(std::make_shared<Impl>(static_cast<const Talk&>(*impl_)));
}

ChatSessionOptions& ChatSession::options() { return impl_->options; }
const ChatSessionOptions& ChatSession::options() const { return impl_->options; }
const ModelContainer& ChatSession::container() const { return impl_->container; }
const std::vector<Message>& ChatSession::messages() const { return impl_->messages; }
size_t ChatSession::remembered_tokens() const { return impl_->memory.tokens.size(); }
size_t ChatSession::dropped_messages() const { return impl_->dropped; }

void ChatSession::clear() {
  Busy busy(impl_);
  impl_->messages.clear();
  impl_->dropped = 0;
  impl_->memory = {};
}

namespace {

using Shared = std::shared_ptr<ChatSession::Impl>;

std::vector<Message> question(std::string text) { return {{"user", std::move(text)}}; }

Generation answer(const Shared& session, std::vector<Message> messages, bool is_strict) {
  require(!messages.empty(), "[ChatSession] there is no message to answer.");
  return Generation(std::make_shared<TurnSource>(session, std::move(messages), is_strict));
}

}  // namespace

Generation ChatSession::stream(std::string message) {
  return answer(impl_, question(std::move(message)), false);
}
Generation ChatSession::stream(std::vector<Message> messages) {
  return answer(impl_, std::move(messages), false);
}

std::string ChatSession::respond(std::string message) {
  return text_of(answer(impl_, question(std::move(message)), true));
}
std::string ChatSession::respond(std::vector<Message> messages) {
  return text_of(answer(impl_, std::move(messages), true));
}

std::future<std::string> ChatSession::respond_async(std::string message) {
  // The session is taken now, so that a second call fails at once and not in its future.
  return std::async(std::launch::async, text_of, answer(impl_, question(std::move(message)), true));
}

std::shared_ptr<const LanguageModel> Talk::current_model() {
  auto model = container.model();
  if (remembered_by.lock() != model) memory = {};
  remembered_by = model;
  return model;
}

GenerateParameters Talk::parameters(const LanguageModel& model) const {
  GenerateParameters p = options.parameters;
  const Overflow& o = options.overflow;
  if (o.policy == Overflow::Policy::sliding_window && !p.max_kv_size) {
    int64_t size = o.window > 0 ? o.window : model.model.shape().context;
    if (size > 0) p.max_kv_size = static_cast<int>(size), p.kv_sinks = o.sinks;
  }
  return p;
}

namespace {

// The messages without their oldest turn: up to the second question. Empty when there is one only.
std::span<const Message> without_oldest(std::span<const Message> shown) {
  auto second = std::find_if(shown.begin() + std::min<std::ptrdiff_t>(1, std::ssize(shown)),
                             shown.end(), [](const Message& m) { return m.role == "user"; });
  return {second, shown.end()};
}

}  // namespace

LMInput Talk::prompt(const LanguageModel& model) {
  auto context = model.model.shape().context;
  bool drops = options.overflow.policy == Overflow::Policy::drop_oldest;
  bool slides = options.overflow.policy == Overflow::Policy::sliding_window;
  auto room = std::clamp<int64_t>(options.overflow.room, 1, std::max<int64_t>(context / 2, 1));
  std::span<const Message> shown = std::span(messages).subspan(dropped);
  for (;;) {
    std::vector<Message> all;
    if (!options.instructions.empty()) all.push_back({"system", options.instructions});
    all.insert(all.end(), shown.begin(), shown.end());
    LMInput input = lm::prepare(model, {all, options.tools, options.additional_context});
    auto size = static_cast<int64_t>(input.tokens.size());
    if (context == 0 || slides || size + (drops ? room : 1) <= context) {
      dropped = messages.size() - shown.size();
      return input;
    }
    auto fewer = drops ? without_oldest(shown) : std::span<const Message>();
    // The last turn that is left is shown while it fits at all.
    if (fewer.empty() && drops && size < context)
      room = context - size;
    else {
      require(!fewer.empty(),
              "[chat] with this message the conversation has {} tokens and the model's context "
              "{}: {}",
              size, context,
              messages.size() > 1 && !drops
                  ? "begin a new one, or let an overflow policy drop its oldest turns."
                  : "the message must be shorter.");
      shown = fewer;
    }
  }
}

}  // namespace tarn::lm
