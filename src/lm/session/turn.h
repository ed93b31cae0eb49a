// One answer of a session, from the question to the last of its rounds.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lm/session/session.h"

namespace tarn::lm {

// A session makes one answer at a time. Throws ValueError where one is being made.
class Busy {
 public:
  explicit Busy(std::shared_ptr<ChatSession::Impl> session);
  ~Busy() { session_->is_busy = false; }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  std::shared_ptr<ChatSession::Impl> session_;
};

class TurnSource final : public Generation::Source {
 public:
  // With `is_strict`, a call that cannot be read is a ValueError instead of an event.
  TurnSource(std::shared_ptr<ChatSession::Impl> session, std::vector<Message> messages,
             bool is_strict);
  ~TurnSource() override;

  bool next(Event& event) override;

 private:
  void begin_round();
  // What came of this round joins the messages. False: nothing did.
  bool keep_round();
  bool next_of_round(Event& event);
  void run_calls();
  void roll_back();

  std::shared_ptr<ChatSession::Impl> session_;
  Busy busy_;
  bool dispatches_, is_strict_;
  size_t messages_before_, dropped_before_;
  std::optional<Generation> round_{};
  std::optional<Generation::Iterator> at_{};
  std::string text_{};             // of this round
  std::vector<ToolCall> calls_{};  // of this round
  int rounds_ = 0;
  GenerationInfo total_{};
  bool has_ended_ = false;
};

}  // namespace tarn::lm
