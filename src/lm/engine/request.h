// One answer of an engine, between the thread that makes it and the one that reads it.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>

#include "lm/generation/answer.h"
#include "lm/generation/decode.h"

namespace tarn::lm {

// Events from the engine's thread to the reader's.
class Mailbox {
 public:
  explicit Mailbox(std::stop_token caller)
      : caller_(std::move(caller), [this] { stop_.request_stop(); }) {}

  std::stop_token token() const { return stop_.get_token(); }
  void cancel() { stop_.request_stop(); }
  // Waits for the next event. False: there are no more. Throws what ended the answer.
  bool wait(Event& event);
  void put(Event event);
  // Nothing comes any more.
  void close(std::exception_ptr error = nullptr);

 private:
  std::stop_source stop_{};
  std::stop_callback<std::function<void()>> caller_;
  std::mutex mutex_{};
  std::condition_variable changed_{};
  std::deque<Event> events_{};
  std::exception_ptr error_{};
  bool is_closed_ = false;
};

// The engine's part. Only its thread uses it once it is admitted.
class Request {
 public:
  Request(std::shared_ptr<const LanguageModel> model, LMInput input,
          const GenerateParameters& parameters);

  const std::shared_ptr<Mailbox>& mailbox() const { return mailbox_; }
  Answer& answer() { return answer_; }
  const Answer& answer() const { return answer_; }
  Session& sequence() { return sequence_; }
  std::span<const int32_t> prompt() const { return answer_.prompt(); }

  bool has_prompt() const { return has_prompt_; }
  bool has_begun() const { return prefill_.has_value(); }
  // Computes the prompt from here on: `known` is what was computed of it before.
  void begin(Session known);
  // One chunk of the prompt, and after the last one the first token. Gives the tokens computed.
  size_t compute_prompt();
  // Hands over what the answer has ready. True: it has ended.
  bool deliver();

 private:
  std::shared_ptr<Mailbox> mailbox_;
  Answer answer_;
  Session sequence_{};
  Decoder decoder_;
  std::optional<Prefill> prefill_{};
  bool has_prompt_ = false;
};

}  // namespace tarn::lm
