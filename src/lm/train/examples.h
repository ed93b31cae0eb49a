// Examples as their file has them, read and checked but not yet encoded.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tarn/lm/load.h"
#include "tarn/lm/train_data.h"

namespace tarn::lm {

struct Example {
  std::vector<Message> messages{};  // of a chat, or a prompt and its completion
  std::vector<ToolSpec> tools{};
  std::string text{};  // without messages
  bool is_completion = false;
  int64_t line = 0;
  uint64_t hash = 0;  // of the content
};

// Throws FileError for the first mistake, which also says how many other lines have one.
std::vector<Example> read_examples(const std::string& file);

// Throws FileError where the chat template refuses the example.
TrainSample encode_example(const Example& example, const LanguageModel& lm, bool mask_prompt,
                           const std::string& file);

}  // namespace tarn::lm
