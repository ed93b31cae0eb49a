// The word patterns that most models use, as hand-written scanners over valid UTF-8.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace tarn::lm::tokenizer {

// Returns where the word that begins at `at` ends. Every character belongs to a word.
using Scanner = size_t (*)(std::string_view text, size_t at);

size_t scan_gpt2(std::string_view text, size_t at);
size_t scan_llama3(std::string_view text, size_t at);  // also GPT-4's cl100k; numbers by threes
size_t scan_qwen2(std::string_view text, size_t at);   // as llama3, each digit alone

// The scanner for a pattern, recognised by its exact text.
std::optional<Scanner> scanner_for(std::string_view pattern);

}  // namespace tarn::lm::tokenizer
