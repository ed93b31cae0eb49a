#include "lm/tools/formats.h"

#include <algorithm>

#include "base/require.h"

namespace tarn::lm {
namespace tools {
namespace {

using Marks = std::string_view[];
constexpr Marks xml_begin{"<tool_call>"}, xml_end{"</tool_call>"};
constexpr Marks lfm2_begin{"<|tool_call_start|>"}, lfm2_end{"<|tool_call_end|>"};
constexpr Marks gemma_begin{"<start_function_call>"}, gemma_end{"<end_function_call>"};
constexpr Marks gemma4_begin{"<|tool_call>"}, gemma4_end{"<tool_call|>"};
constexpr Marks kimi_begin{"<|tool_calls_section_begin|>"}, kimi_end{"<|tool_calls_section_end|>"};
constexpr Marks minimax_begin{"<minimax:tool_call>"}, minimax_end{"</minimax:tool_call>"};
constexpr Marks mistral_begin{"[TOOL_CALLS]"}, llama_begin{"<|python_tag|>"};
constexpr Marks llama_dropped{"<|eom_id|>"};
constexpr Marks harmony_begin{"<|channel|>", "<|start|>"};
constexpr Marks harmony_end{"<|call|>", "<|end|>", "<|return|>"};

}  // namespace

std::span<const Format> formats() {
  using F = ToolCallFormat;
  static constexpr Format all[] = {
      {F::none, "none", "", {}, {}, {}, nullptr},
      {F::json, "json", "json_tools", xml_begin, xml_end, {}, read_json},
      {F::lfm2, "lfm2", "pythonic", lfm2_begin, lfm2_end, {}, read_python},
      {F::xml_function, "xml_function", "qwen3_coder", xml_begin, xml_end, {}, read_xml_function},
      {F::qwen3_5, "qwen3_5", "", xml_begin, xml_end, {}, read_json_or_xml},
      {F::glm4, "glm4", "glm47", xml_begin, xml_end, {}, read_glm},
      {F::gemma, "gemma", "function_gemma", gemma_begin, gemma_end, {}, read_gemma},
      {F::gemma4, "gemma4", "", gemma4_begin, gemma4_end, {}, read_gemma4},
      {F::kimi_k2, "kimi_k2", "", kimi_begin, kimi_end, {}, read_kimi},
      {F::minimax_m2, "minimax_m2", "", minimax_begin, minimax_end, {}, read_minimax},
      {F::mistral, "mistral", "", mistral_begin, mistral_begin, {}, read_mistral},
      {F::llama3, "llama3", "", llama_begin, llama_begin, llama_dropped, read_json, true},
      {F::gpt_oss, "gpt_oss", "", harmony_begin, harmony_end, harmony_end, read_harmony, false,
       true},
  };
  return all;
}

const Format& format_of(ToolCallFormat format) {
  auto all = formats();
  auto it =
      std::find_if(all.begin(), all.end(), [&](const Format& f) { return f.format == format; });
  require(it != all.end(), "[tools] format {} is not one of the {} known.",
          static_cast<int>(format), all.size());
  return *it;
}

}  // namespace tools

std::string_view name_of(ToolCallFormat format) { return tools::format_of(format).name; }

std::optional<ToolCallFormat> tool_call_format(std::string_view name) {
  for (const auto& f : tools::formats())
    if (!name.empty() && (f.name == name || f.parser == name)) return f.format;
  return std::nullopt;
}

ToolCallFormat infer_tool_call_format(std::string_view chat_template) {
  using F = ToolCallFormat;
  constexpr std::pair<std::string_view, F> marks[] = {
      {"<minimax:tool_call>", F::minimax_m2},
      {"<|tool_call>", F::gemma4},
      {"<start_function_call>", F::gemma},
      {"<arg_key>", F::glm4},
      {"<|tool_call_start|>", F::lfm2},
      {"<|tool_list_start|>", F::lfm2},
      {"<function=", F::xml_function},
      {"<|tool_calls_section_begin|>", F::kimi_k2},
      {"<|channel|>", F::gpt_oss},
      {"[TOOL_CALLS]", F::mistral},
      {"<tool_call>", F::json},
      {"<|python_tag|>", F::llama3},
      {"{\"name\": function name, \"parameters\":", F::llama3},
  };
  for (auto [mark, format] : marks)
    if (chat_template.find(mark) != std::string_view::npos) return format;
  return F::none;
}

}  // namespace tarn::lm
