#include "answer_output.h"

#include <algorithm>

namespace tarn::cli {

void AnswerOutput::put(std::string_view text) {
  write_all(terminal_.fd(), text, "standard output");
}

std::string AnswerOutput::shown(std::string_view text) {
  if (!terminal_.is_terminal()) return std::string(text);
  std::string safe = safe_.feed(text);
  return terminal_.has_controls() ? wrap_.feed(safe, terminal_.columns()) : safe;
}

// An empty line between the two, however many the model makes of it.
void AnswerOutput::end_thought(std::string_view& answer) {
  has_to_begin_ |= is_thinking_;
  is_thinking_ = false;
  if (!has_to_begin_) return;
  answer.remove_prefix(std::min(answer.find_first_not_of("\r\n"), answer.size()));
  if (answer.empty()) return;
  has_to_begin_ = false;
  if (terminal_.is_terminal()) put(shown("\n\n"));
}

void AnswerOutput::write(std::string_view piece, bool is_thought) {
  if (is_thought) {
    is_thinking_ = true;
    if (terminal_.is_terminal()) put(terminal_.styled(Style::dim, shown(piece)));
  } else {
    end_thought(piece);
    put(shown(piece));
  }
}

void AnswerOutput::finish() { put(safe_.finish() + "\n"); }

}  // namespace tarn::cli
