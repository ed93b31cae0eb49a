// What begins with a slash in the chat.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "conversation.h"

namespace tarn::cli {

struct CommandResult {
  std::string text{};  // to show
  bool is_error = false;
  bool quits = false;
};

// "/clear", but not "//usr is a path", which is a message that begins with one slash.
bool is_command(std::string_view input);
// `ranks` is the number of processes that take part in the chat.
CommandResult run_command(Conversation& conversation, const AnswerStatistics* last,
                          std::string_view input, int ranks = 1);
// Commands that begin with `start`, for Tab.
std::vector<std::string> complete_command(std::string_view start);

}  // namespace tarn::cli
