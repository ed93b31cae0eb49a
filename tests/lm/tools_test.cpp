// Calls in a model's text: each format whole, a character at a time, and what cannot be read.
#include "tarn/lm/tools.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "tarn/error.h"

namespace tarn_test {
namespace {

using namespace tarn::lm;
using F = ToolCallFormat;
using Reason = RejectedToolCall::Reason;

const std::vector<ToolSpec> specs{
    {.name = "weather",
     .description = "The weather at a place.",
     .parameters = R"({"type": "object", "required": ["place"], "properties": {
        "place": {"type": "string"}, "days": {"type": "integer"}, "exact": {"type": "boolean"},
        "hours": {"type": "array"}}})"},
    {.name = "now", .description = "The time."}};

// What a parser gave.
struct Read {
  std::string text{};
  std::vector<ToolCall> calls{};
  std::vector<RejectedToolCall> rejected{};
};

void add(Read& to, const std::vector<ToolCallParser::Part>& parts) {
  for (const auto& part : parts) {
    to.text += part.text;
    if (part.call) to.calls.push_back(*part.call);
    if (part.rejected) to.rejected.push_back(*part.rejected);
  }
}

Read read(F format, const std::string& text, size_t piece) {
  ToolCallParser parser(format, specs);
  Read result;
  for (size_t at = 0; at < text.size(); at += piece)
    add(result, parser.feed(std::string_view(text).substr(at, piece)));
  add(result, parser.finish());
  return result;
}

// The same however the text is cut.
Read read(F format, const std::string& text) {
  Read whole = read(format, text, text.size());
  for (size_t piece : {size_t{1}, size_t{3}, size_t{17}}) {
    Read cut = read(format, text, piece);
    EXPECT_EQ(cut.text, whole.text) << text;
    EXPECT_EQ(cut.calls, whole.calls) << text;
    EXPECT_EQ(cut.rejected.size(), whole.rejected.size()) << text;
  }
  return whole;
}

void expect_call(F format, const std::string& text, const std::string& arguments,
                 const std::string& id = "", const std::string& around = "") {
  Read got = read(format, text);
  ASSERT_EQ(got.calls.size(), 1u) << text;
  EXPECT_EQ(got.calls[0].name, "weather") << text;
  EXPECT_EQ(tarn::Json::parse(got.calls[0].arguments), tarn::Json::parse(arguments)) << text;
  EXPECT_EQ(got.calls[0].id, id) << text;
  EXPECT_EQ(got.text, around) << text;
  EXPECT_TRUE(got.rejected.empty()) << text;
}

constexpr const char* bern = R"({"place": "Bern", "days": 2})";

TEST(ToolCalls, EachFormat) {
  expect_call(
      F::json,
      R"(<tool_call>{"name": "weather", "arguments": {"place": "Bern", "days": 2}}</tool_call>)",
      bern);
  expect_call(
      F::json,
      R"(So: <tool_call>{"name": "weather", "arguments": "{\"place\": \"Bern\"}"}</tool_call> ok)",
      R"({"place": "Bern"})", "", "So:  ok");
  expect_call(F::lfm2, R"(<|tool_call_start|>[weather(place="Bern", days=2)]<|tool_call_end|>)",
              bern);
  const std::string xml =
      "<tool_call>\n<function=weather>\n<parameter=place>\nBern\n</parameter>\n"
      "<parameter=days>\n2\n</parameter>\n</function>\n</tool_call>";
  expect_call(F::xml_function, xml, bern);
  expect_call(F::qwen3_5, xml, bern);
  expect_call(
      F::qwen3_5,
      R"(<tool_call>{"name": "weather", "arguments": {"place": "Bern", "days": 2}}</tool_call>)",
      bern);
  expect_call(F::glm4,
              "<tool_call>weather\n<arg_key>place</arg_key>\n<arg_value>Bern</arg_value>\n"
              "<arg_key>days</arg_key>\n<arg_value>2</arg_value>\n</tool_call>",
              bern);
  expect_call(F::gemma,
              "<start_function_call>call:weather{place:<escape>Bern<escape>,days:2}"
              "<end_function_call>",
              bern);
  expect_call(F::gemma4, "<|tool_call>call:weather{place:<|\"|>Bern<|\"|>,days:2}<tool_call|>",
              bern);
  expect_call(F::kimi_k2,
              "<|tool_calls_section_begin|><|tool_call_begin|>functions.weather:0"
              "<|tool_call_argument_begin|>{\"place\": \"Bern\", \"days\": 2}<|tool_call_end|>"
              "<|tool_calls_section_end|>",
              bern, "functions.weather:0");
  expect_call(F::minimax_m2,
              "<minimax:tool_call>\n<invoke name=\"weather\">\n<parameter name=\"place\">Bern"
              "</parameter>\n<parameter name=\"days\">2</parameter>\n</invoke>\n"
              "</minimax:tool_call>",
              bern);
  expect_call(F::mistral, R"([TOOL_CALLS]weather[ARGS]{"place": "Bern", "days": 2})", bern);
  expect_call(F::mistral, R"([TOOL_CALLS]weather[CALL_ID]abc123XYZ[ARGS]{"place": "Bern"})",
              R"({"place": "Bern"})", "abc123XYZ");
  expect_call(F::mistral,
              R"([TOOL_CALLS] [{"name": "weather", "arguments": {"place": "Bern"}, "id": "a1"}])",
              R"({"place": "Bern"})", "a1");
  expect_call(F::llama3,
              R"(<|python_tag|>{"name": "weather", "parameters": {"place": "Bern", "days": 2}})",
              bern);
  expect_call(F::llama3, R"({"name": "weather", "parameters": {"place": "Bern", "days": 2}})",
              bern);
  expect_call(F::gpt_oss,
              "<|channel|>analysis<|message|>The user wants weather.<|end|><|start|>assistant"
              "<|channel|>commentary to=functions.weather <|constrain|>json<|message|>"
              "{\"place\": \"Bern\", \"days\": 2}<|call|>",
              bern);
}

TEST(ToolCalls, ValuesGetTheTypesOfTheSchema) {
  Read xml = read(F::xml_function,
                  "<tool_call><function=weather><parameter=place>12</parameter><parameter=days>12"
                  "</parameter><parameter=exact>True</parameter><parameter=hours>[1, 2]"
                  "</parameter></function></tool_call>");
  ASSERT_EQ(xml.calls.size(), 1u);
  EXPECT_EQ(xml.calls[0].arguments, R"({"days":12,"exact":true,"hours":[1,2],"place":"12"})");
  Read python = read(F::lfm2,
                     "<|tool_call_start|>[weather(place='O\\'Hare', exact=False, hours=[1, 2.5], "
                     "more={'a': None, \"b\": 'x'})]<|tool_call_end|>");
  ASSERT_EQ(python.calls.size(), 1u);
  EXPECT_EQ(python.calls[0].arguments,
            R"({"exact":false,"hours":[1,2.5],"more":{"a":null,"b":"x"},"place":"O'Hare"})");
  Read gemma = read(F::gemma,
                    "<start_function_call>call:weather{place:<escape>a, {b}: c<escape>,hours:[1,2],"
                    "exact:true}<end_function_call>");
  ASSERT_EQ(gemma.calls.size(), 1u);
  EXPECT_EQ(gemma.calls[0].arguments, R"({"exact":true,"hours":[1,2],"place":"a, {b}: c"})");
}

TEST(ToolCalls, SeveralCallsAndTheTextBetween) {
  const std::string call = R"(<tool_call>{"name": "now", "arguments": {}}</tool_call>)";
  Read json = read(F::json, "a" + call + "b" + call + "c");
  EXPECT_EQ(json.calls.size(), 2u);
  EXPECT_EQ(json.text, "abc");
  EXPECT_EQ(read(F::lfm2, "<|tool_call_start|>[now(), now()]<|tool_call_end|>").calls.size(), 2u);
  EXPECT_EQ(read(F::mistral, "[TOOL_CALLS]now[ARGS]{}[TOOL_CALLS]now[ARGS]{}").calls.size(), 2u);
  EXPECT_EQ(read(F::mistral, R"([TOOL_CALLS][{"name":"now","arguments":{}},{"name":"now"}])")
                .calls.size(),
            2u);
}

TEST(ToolCalls, TextThatIsNoCallPasses) {
  for (F format : {F::json, F::lfm2, F::glm4, F::gemma, F::gemma4, F::kimi_k2, F::minimax_m2,
                   F::mistral, F::llama3, F::gpt_oss}) {
    const std::string text = "1 < 2, <tool is a word, [TOOL and <| and {\"a\": 1}.";
    Read got = read(format, text);
    EXPECT_EQ(got.text, text) << name_of(format);
    EXPECT_TRUE(got.calls.empty() && got.rejected.empty()) << name_of(format);
  }
  EXPECT_EQ(read(F::llama3, R"( {"a": 1})").text, R"( {"a": 1})");
  EXPECT_EQ(read(F::llama3, R"({"name": "Ann")").text, R"({"name": "Ann")");
  EXPECT_EQ(read(F::gpt_oss,
                 "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final"
                 "<|message|>It is warm.<|return|>")
                .text,
            "It is warm.");
}

TEST(ToolCalls, TextIsHeldBackOnlyWhereAMarkMayBegin) {
  ToolCallParser parser(F::json, specs);
  Read got;
  add(got, parser.feed("warm <tool"));
  EXPECT_EQ(got.text, "warm ");
  add(got, parser.feed("s are"));
  EXPECT_EQ(got.text, "warm <tools are");
}

void expect_rejected(F format, const std::string& text, Reason reason, const std::string& name,
                     const std::string& detail) {
  Read got = read(format, text);
  ASSERT_EQ(got.rejected.size(), 1u) << text;
  EXPECT_EQ(name_of(got.rejected[0].reason), name_of(reason)) << text;
  EXPECT_EQ(got.rejected[0].name, name) << text;
  EXPECT_EQ(got.rejected[0].detail, detail) << text;
  EXPECT_TRUE(text.find(got.rejected[0].text) != std::string::npos) << got.rejected[0].text;
  EXPECT_TRUE(got.calls.empty()) << text;
}

TEST(ToolCalls, WhatCannotBeReadIsRejectedWithAReason) {
  expect_rejected(F::json, R"(<tool_call>{"arguments": {}}</tool_call>)", Reason::missing_tool_name,
                  "", "The call names no tool.");
  expect_rejected(F::json, R"(<tool_call>[1]</tool_call>)", Reason::malformed_syntax, "",
                  "A JSON object with name and arguments is needed.");
  expect_rejected(F::json, R"(<tool_call>{"name": "fly", "arguments": {}}</tool_call>)",
                  Reason::undeclared_tool, "fly",
                  "There is no tool `fly`; there are: now, weather.");
  expect_rejected(F::json, R"(<tool_call>{"name": "weather", "arguments": {}}</tool_call>)",
                  Reason::invalid_arguments, "weather",
                  "`place` is missing, which weather requires.");
  expect_rejected(F::json, R"(<tool_call>{"name": "weather", "arguments": [1]}</tool_call>)",
                  Reason::invalid_arguments, "weather",
                  "The arguments are [1], an object is needed.");
  expect_rejected(F::lfm2, "<|tool_call_start|>weather<|tool_call_end|>", Reason::malformed_syntax,
                  "weather", "`(` is needed after the name.");
  expect_rejected(F::lfm2, "<|tool_call_start|>weather(place=)<|tool_call_end|>",
                  Reason::malformed_syntax, "", "At byte 14: a value is needed, not `)`.");
  expect_rejected(F::lfm2, "<|tool_call_start|>weather('Bern')<|tool_call_end|>",
                  Reason::malformed_syntax, "",
                  "At byte 14: a name and its value is needed, not `)`.");
  expect_rejected(F::xml_function, "<tool_call>weather</tool_call>", Reason::malformed_syntax, "",
                  "`<function=NAME>` … `</function>` is needed.");
  expect_rejected(F::xml_function,
                  "<tool_call><function=weather><parameter=days>two</parameter></function>"
                  "</tool_call>",
                  Reason::invalid_arguments, "weather", "`days` is `two`, which is no integer.");
  expect_rejected(F::glm4, "<tool_call>weather<arg_key>place</arg_key></tool_call>",
                  Reason::malformed_syntax, "weather", "`place` has no value.");
  expect_rejected(F::gemma, "<start_function_call>weather{}<end_function_call>",
                  Reason::malformed_syntax, "", "`call:` is needed.");
  expect_rejected(F::gemma4, "<|tool_call>call:weather<tool_call|>", Reason::malformed_syntax,
                  "weather", "`{` is needed after the name.");
  expect_rejected(F::kimi_k2, "<|tool_calls_section_begin|>x<|tool_calls_section_end|>",
                  Reason::malformed_syntax, "",
                  "`<|tool_call_begin|>` … `<|tool_call_end|>` is needed.");
  expect_rejected(F::minimax_m2, "<minimax:tool_call>x</minimax:tool_call>",
                  Reason::malformed_syntax, "", "`<invoke name=NAME>` … `</invoke>` is needed.");
}

TEST(ToolCalls, AnOpenCallIsReadAtTheEndOrRejectedAsIncomplete) {
  EXPECT_EQ(read(F::json, R"(<tool_call>{"name": "now", "arguments": {}})").calls.size(), 1u);
  Read cut = read(F::json, R"(<tool_call>{"name": "now", "argu)");
  ASSERT_EQ(cut.rejected.size(), 1u);
  EXPECT_EQ(name_of(cut.rejected[0].reason), "incomplete_output");
  EXPECT_EQ(cut.rejected[0].text, R"(<tool_call>{"name": "now", "argu)");
}

TEST(ToolCalls, LongAndDeepOnesAreBounded) {
  std::string deep = "<|tool_call_start|>now(a=" + std::string(100'000, '[');
  Read got = read(F::lfm2, deep, deep.size());
  ASSERT_EQ(got.rejected.size(), 1u);
  EXPECT_EQ(got.rejected[0].detail, "Values nest deeper than 64.");
  EXPECT_EQ(got.rejected[0].text.size(), RejectedToolCall::most_text);
  EXPECT_EQ(got.rejected[0].text_size, deep.size());
}

TEST(ToolCalls, FormatsByNameAndByTemplate) {
  EXPECT_EQ(tool_call_format("json"), F::json);
  EXPECT_EQ(tool_call_format("qwen3_coder"), F::xml_function);
  EXPECT_EQ(tool_call_format("pythonic"), F::lfm2);
  EXPECT_EQ(tool_call_format("unheard_of"), std::nullopt);
  EXPECT_EQ(infer_tool_call_format("... <tool_call>\n{\"name\": ..."), F::json);
  EXPECT_EQ(infer_tool_call_format("<tool_call> <function=x>"), F::xml_function);
  EXPECT_EQ(infer_tool_call_format("<tool_call>{{ name }}<arg_key>"), F::glm4);
  EXPECT_EQ(infer_tool_call_format("{{ '[TOOL_CALLS]' }}"), F::mistral);
  EXPECT_EQ(infer_tool_call_format("<|channel|>"), F::gpt_oss);
  EXPECT_EQ(infer_tool_call_format("{{ messages }}"), F::none);
}

TEST(ToolCalls, BadSchemas) {
  auto error = [](const std::string& parameters) -> std::string {
    try {
      ToolCallParser(F::json, {{.name = "f", .parameters = parameters}});
    } catch (const tarn::Error& e) {
      return e.message();
    }
    return "no error";
  };
  EXPECT_EQ(error("[]"), "[tools] the parameters of tool f are no JSON object.");
  EXPECT_EQ(error("{}"), "no error");
  EXPECT_THAT(error("{"), testing::HasSubstr("the parameters of tool f"));
}

}  // namespace
}  // namespace tarn_test
