// From a file or folder to a model that can answer.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "tarn/lm/chat_template.h"
#include "tarn/lm/model.h"
#include "tarn/lm/tokenizer.h"
#include "tarn/lm/tools.h"

namespace tarn::lm {

struct Message {
  std::string role{};  // "system", "user", "assistant", "tool"
  std::string content{};
  std::vector<ToolCall> tool_calls{};  // assistant: what it calls
  std::string tool_call_id{}, name{};  // tool: which call it answers, and the tool's name
  friend bool operator==(const Message&, const Message&) = default;
};

// What a prompt is made with besides the messages.
struct RenderOptions {
  bool add_generation_prompt = true;
  std::vector<ToolSpec> tools{};
  std::string context{};  // the text of a JSON object: more variables for the template
};

// An adapter that is in a model; see tarn/lm/adapters.h.
struct LoadedAdapter {
  std::string name{};
  float weight = 1;
  bool on_request = false;  // only for answers whose parameters name it
  // What it took the place of, by path.
  std::map<std::string, nn::Matrix> replaced_matrices{};
  std::map<std::string, array> replaced_parameters{};
};

// Everything a conversation needs. Copies share the weights and the vocabulary.
struct LanguageModel {
  std::string name{};
  Model model{};
  Tokenizer tokenizer{};
  std::optional<ChatTemplate> chat_template{};
  std::vector<int32_t> stop_ids{};          // tokens that end an answer
  std::vector<std::string> stop_strings{};  // texts that do
  ToolCallFormat tool_call_format = ToolCallFormat::none;
  std::vector<LoadedAdapter> adapters{};

  // The prompt of a conversation by the model's template. Throws ValueError without a template.
  std::string render(const std::vector<Message>& messages, const RenderOptions& options = {}) const;
  // The ids of render(). Control tokens are those of the template: written out in a message, one is
  // plain text.
  std::vector<int32_t> encode_chat(const std::vector<Message>& messages,
                                   const RenderOptions& options = {}) const;
};

struct LoadOptions {
  std::stop_token stop{};  // Cancelled is thrown soon after a request
  // Called with the bytes done and in all, from the loading thread.
  std::function<void(uint64_t done, uint64_t total)> progress{};
};

// A GGUF file, or a folder with config.json, tokenizer.json and safetensors. Throws FileError that
// says what is missing or wrong.
LanguageModel load(const std::filesystem::path& path, const LoadOptions& options = {});

// The file of the default model: $TARN_MODEL, or SmolLM2-135M-Instruct in the cache folder.
std::filesystem::path default_model_path();
// $TARN_CACHE, $XDG_CACHE_HOME/tarn or ~/.cache/tarn.
std::filesystem::path cache_folder();

}  // namespace tarn::lm
