#include "tarn/lm/reasoning.h"

#include <algorithm>
#include <array>

#include "base/require.h"
#include "lm/marks.h"
#include "tarn/lm/load.h"

namespace tarn::lm {
namespace {

struct Known {
  std::string_view begin, end;
};
// As the families' chat templates write them.
constexpr std::array<Known, 5> known{{
    {"<think>", "</think>"},            // Qwen3, DeepSeek-R1, SmolLM3
    {"[THINK]", "[/THINK]"},            // Magistral
    {"<seed:think>", "</seed:think>"},  // Seed-OSS
    {"<reasoning>", "</reasoning>"},
    {"<|begin_of_thought|>", "<|end_of_thought|>"},
}};

void give(std::vector<ReasoningReader::Part>& parts, std::string_view text, bool is_thought) {
  if (text.empty()) return;
  if (!parts.empty() && parts.back().is_thought == is_thought)
    parts.back().text += text;
  else
    parts.push_back({std::string(text), is_thought});
}

}  // namespace

std::optional<Reasoning> reasoning_of(const LanguageModel& model) {
  if (!model.chat_template) return std::nullopt;
  std::string_view source = model.chat_template->source();
  for (const Known& marks : known)
    if (source.find(marks.end) != std::string_view::npos)
      return Reasoning{.begin = std::string(marks.begin), .end = std::string(marks.end)};
  return std::nullopt;
}

ReasoningReader::ReasoningReader(Reasoning marks, bool inside)
    : marks_(std::move(marks)), ends_(marks_.also_end), inside_(inside) {
  ends_.insert(ends_.begin(), marks_.end);
  require(!marks_.begin.empty(), "[reasoning] the mark that begins a thought is empty.");
  for (const auto& end : ends_)
    require(!end.empty(), "[reasoning] a mark that ends a thought is empty.");
}

bool ReasoningReader::is_mark(std::string_view token) const {
  return token == marks_.begin || std::find(ends_.begin(), ends_.end(), token) != ends_.end();
}

bool ReasoningReader::step(std::vector<Part>& parts) {
  std::array<std::string_view, 1> begins{marks_.begin};
  FoundMark mark = inside_ ? first_mark(buffer_, ends_) : first_mark(buffer_, begins);
  size_t kept = inside_ ? held_back(buffer_, ends_) : held_back(buffer_, begins);
  size_t given = mark.is_there() ? mark.at : buffer_.size() - kept;
  give(parts, std::string_view(buffer_).substr(0, given), inside_);
  buffer_.erase(0, given);
  if (!mark.is_there()) return false;
  bool stays = inside_ && !buffer_.starts_with(marks_.end);
  if (!stays) buffer_.erase(0, mark.size);
  inside_ = !inside_;
  return true;
}

std::vector<ReasoningReader::Part> ReasoningReader::feed(std::string_view text) {
  buffer_ += text;
  std::vector<Part> parts;
  while (step(parts)) continue;
  return parts;
}

std::vector<ReasoningReader::Part> ReasoningReader::finish() {
  std::vector<Part> parts;
  give(parts, std::exchange(buffer_, {}), inside_);
  return parts;
}

}  // namespace tarn::lm
