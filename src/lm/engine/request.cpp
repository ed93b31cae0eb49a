#include "lm/engine/request.h"

namespace tarn::lm {
namespace {

GenerateParameters stopped_by(GenerateParameters parameters, std::stop_token token) {
  parameters.stop = std::move(token);
  return parameters;
}

}  // namespace

bool Mailbox::wait(Event& event) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return !events_.empty() || is_closed_; });
  if (events_.empty()) {
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
    return false;
  }
  event = std::move(events_.front());
  events_.pop_front();
  return true;
}

void Mailbox::put(Event event) {
  {
    std::lock_guard lock(mutex_);
    if (is_closed_) return;
    events_.push_back(std::move(event));
  }
  changed_.notify_one();
}

void Mailbox::close(std::exception_ptr error) {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(is_closed_, true)) return;
    error_ = std::move(error);
  }
  changed_.notify_one();
}

Request::Request(std::shared_ptr<const LanguageModel> model, LMInput input,
                 const GenerateParameters& parameters)
    : mailbox_(std::make_shared<Mailbox>(parameters.stop)),
      answer_(std::move(model), std::move(input), stopped_by(parameters, mailbox_->token())),
      decoder_(answer_.model(), answer_.parameters(), sequence_) {}

void Request::begin(Session known) {
  sequence_ = std::move(known);
  answer_.begin();
  prefill_.emplace(decoder_, answer_.prompt(), answer_.parameters().prefill);
  answer_.info.cached_tokens = static_cast<int>(prefill_->known());
}

size_t Request::compute_prompt() {
  size_t before = sequence_.tokens.size();
  if (auto logits = prefill_->step()) {
    has_prompt_ = true;
    answer_.step(logits_at(*logits, 0));
  }
  return sequence_.tokens.size() - before;
}

bool Request::deliver() {
  for (Event event; answer_.next(event);) mailbox_->put(std::move(event));
  if (answer_.finished()) mailbox_->close();
  return answer_.finished();
}

}  // namespace tarn::lm
