// Tools that a model may call: how it is told of them, and how its calls are read from its text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::lm {

struct ToolSpec {
  std::string name{}, description{};
  // The text of a JSON Schema for the arguments, an object.
  std::string parameters = R"({"type": "object", "properties": {}})";
};

struct ToolCall {
  std::string name{};
  std::string arguments = "{}";  // the text of a JSON object
  std::string id{};              // where the model gives one
  friend bool operator==(const ToolCall&, const ToolCall&) = default;
};

// A call that could not be read. It is reported, never dropped.
struct RejectedToolCall {
  enum class Reason : uint8_t {
    malformed_syntax,
    incomplete_output,  // the answer ended inside of it
    missing_tool_name,
    undeclared_tool,
    invalid_arguments,
  };
  static constexpr size_t most_text = 32768;

  Reason reason = Reason::malformed_syntax;
  std::string name{};    // of the tool, where it is known
  std::string text{};    // what the model wrote, at most most_text bytes
  size_t text_size = 0;  // how long it was
  std::string detail{};  // one sentence
};
std::string_view name_of(RejectedToolCall::Reason reason);

// How a family of models writes calls.
enum class ToolCallFormat : uint8_t {
  none,          // they stay text
  json,          // <tool_call>{"name": …, "arguments": {…}}</tool_call>: Qwen, Hermes, SmolLM3
  lfm2,          // <|tool_call_start|>[name(key="value")]<|tool_call_end|>
  xml_function,  // <tool_call><function=name><parameter=key>value</parameter>…: Qwen3-Coder
  qwen3_5,       // either of json and xml_function
  glm4,          // <tool_call>name<arg_key>k</arg_key><arg_value>v</arg_value></tool_call>
  gemma,         // <start_function_call>call:name{key:<escape>text<escape>}<end_function_call>
  gemma4,        // <|tool_call>call:name{key:<|"|>text<|"|>}<tool_call|>
  kimi_k2,       // <|tool_call_begin|>functions.name:0<|tool_call_argument_begin|>{…}…
  minimax_m2,    // <minimax:tool_call><invoke name="n"><parameter name="k">v</parameter>…
  mistral,       // [TOOL_CALLS]name[ARGS]{…}, or [TOOL_CALLS][{"name": …, "arguments": …}]
  llama3,   // <|python_tag|>{"name": …, "parameters": {…}}, or an answer that is such an object
  gpt_oss,  // <|channel|>commentary to=functions.name …<|message|>{…}<|call|>
};
std::string_view name_of(ToolCallFormat format);
// By the name of it, or of a parser of mlx-lm's tokenizer_config.json. Nothing for others.
std::optional<ToolCallFormat> tool_call_format(std::string_view name);
// By the marks that a chat template writes, the most specific first; `none` where there are none.
ToolCallFormat infer_tool_call_format(std::string_view chat_template);

// Reads calls out of text as it comes. Text that may still become the beginning of a call is held
// back, the rest passes at once.
class ToolCallParser {
 public:
  // One of: text, a call, or a call that could not be read.
  struct Part {
    std::string text{};
    std::optional<ToolCall> call{};
    std::optional<RejectedToolCall> rejected{};
  };
  // Calls of tools that `tools` lacks are rejected. Arguments that a format writes as plain text
  // get the types that the tool's schema gives them. Throws ValueError for a schema that is no
  // JSON object.
  ToolCallParser(ToolCallFormat format, const std::vector<ToolSpec>& tools);
  ToolCallParser(ToolCallParser&&) noexcept;
  ToolCallParser& operator=(ToolCallParser&&) noexcept;
  ~ToolCallParser();

  std::vector<Part> feed(std::string_view text);
  // The end of the answer: an open call is read as far as it came, or rejected.
  std::vector<Part> finish();
  // Whether a control token of that spelling belongs to the format and is to be fed as text.
  bool is_mark(std::string_view token) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarn::lm
