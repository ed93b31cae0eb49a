// Models that think before they answer: which part of a text is thought.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::lm {

struct LanguageModel;

// The marks around a thought.
struct Reasoning {
  std::string begin = "<think>", end = "</think>";
  // Texts that end a thought as well, and belong to what follows: "<tool_call>".
  std::vector<std::string> also_end{};
};

// The marks that the model's chat template speaks of; nothing for a model that does not think.
std::optional<Reasoning> reasoning_of(const LanguageModel& model);

// Tells thought from answer while the text comes in. The marks themselves are given out as neither;
// only an end of the text that may still become a mark is held back.
class ReasoningReader {
 public:
  struct Part {
    std::string text{};
    bool is_thought = false;
    friend bool operator==(const Part&, const Part&) = default;
  };

  // `inside`: the text begins in a thought, as after a prompt that ends with its mark. Throws
  // ValueError for an empty mark.
  explicit ReasoningReader(Reasoning marks, bool inside = false);

  std::vector<Part> feed(std::string_view text);
  std::vector<Part> finish();  // what was held back
  bool is_mark(std::string_view token) const;

 private:
  bool step(std::vector<Part>& parts);

  Reasoning marks_;
  std::vector<std::string> ends_{};  // all of them
  bool inside_;
  std::string buffer_{};
};

}  // namespace tarn::lm
