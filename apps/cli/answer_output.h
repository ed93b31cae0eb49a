// An answer as a person or a script sees it.
#pragma once

#include <string>
#include <string_view>

#include "terminal.h"
#include "word_wrap.h"

namespace tarn::cli {

// Writes an answer to a file. On a terminal it is safe and broken between words, and thoughts stand
// before it, dimmed. Elsewhere thoughts are left out.
class AnswerOutput {
 public:
  explicit AnswerOutput(int fd) : terminal_(fd) {}

  void write(std::string_view piece, bool is_thought = false);
  // What was held back, and the end of the line.
  void finish();

 private:
  void put(std::string_view text);
  std::string shown(std::string_view text);
  void end_thought(std::string_view& answer);

  Terminal terminal_;
  SafeText safe_{};
  WordWrap wrap_{};
  bool is_thinking_ = false;   // the last piece was a thought
  bool has_to_begin_ = false;  // a thought has ended, and no answer has come but empty lines
};

}  // namespace tarn::cli
