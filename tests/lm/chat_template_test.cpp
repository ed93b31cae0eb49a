// Chat templates: text, errors and budgets. What Jinja2 itself says is compared by
// tests/oracle/chat_template_test.py.
#include "tarn/lm/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "error_of.h"
#include "tarn/error.h"

namespace {

using tarn::ValueError;
using tarn::lm::ChatTemplate;
using tarn::lm::TemplateBudget;

std::string render(const std::string& source, const std::string& variables = "{}",
                   const TemplateBudget& budget = {}) {
  return ChatTemplate::parse(source).render(variables, budget);
}

std::string error_of(const std::string& source, const std::string& variables = "{}",
                     const TemplateBudget& budget = {}) {
  return tarn_test::error_of([&] { render(source, variables, budget); });
}

std::string repeated(const std::string& s, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += s;
  return out;
}

constexpr const char* kChat = R"({
  "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hé 世界"}],
  "add_generation_prompt": true, "bos_token": "<s>"})";

TEST(ChatTemplate, RendersAConversation) {
  const std::string source =
      "{{- bos_token }}\n"
      "{%- for message in messages %}\n"
      "    {{- '<|' + message.role + '|>\\n' + message['content'] | trim + '<|end|>\\n' }}\n"
      "{%- endfor %}\n"
      "{%- if add_generation_prompt %}{{- '<|assistant|>\\n' }}{% endif %}\n";
  EXPECT_EQ(render(source, kChat),
            "<s><|system|>\nBe brief.<|end|>\n<|user|>\nHé 世界<|end|>\n<|assistant|>\n");
}

TEST(ChatTemplate, KeepsTheOrderOfKeysAndPythonsJsonSpacing) {
  EXPECT_EQ(
      render("{{ tools | tojson }}", R"({"tools": [{"z": 1, "a": {"é": [1.0, null, true]}}]})"),
      R"([{"z": 1, "a": {"é": [1.0, null, true]}}])");
  EXPECT_EQ(render("{{ tools | tojson(indent=2) }}", R"({"tools": {"z": [1], "a": []}})"),
            "{\n  \"z\": [\n    1\n  ],\n  \"a\": []\n}");
}

TEST(ChatTemplate, IndexesByCodePoint) {
  EXPECT_EQ(render("{{ s[1] }}{{ s[-2:] }}{{ s | length }}{{ s[::-1] }}", R"({"s": "aé世界"})"),
            "é世界4界世éa");
}

// Whether a char has a sign differs between processors.
TEST(ChatTemplate, BytesAboveAsciiAreNoLettersOfAnAddress) {
  EXPECT_EQ(render("{{ 'a b/é~' | urlencode }}"), "a%20b/%C3%A9~");
  EXPECT_EQ(render("{{ 'é_1' | int(7) }}"), "7");
}

TEST(ChatTemplate, KeepsItsSourceAndName) {
  const ChatTemplate t = ChatTemplate::parse("{{ 1 }}\n", "mine");
  EXPECT_EQ(t.source(), "{{ 1 }}\n");
  EXPECT_EQ(t.name(), "mine");
}

TEST(ChatTemplate, MarksOfGenerationLeaveNoTrace) {
  EXPECT_EQ(render("a{% generation %}b{% endgeneration %}c"), "abc");
}

TEST(ChatTemplate, RaiseExceptionGivesItsMessage) {
  EXPECT_EQ(error_of("x\n{{ raise_exception('Roles must alternate') }}"),
            "[chat_template] chat_template, line 2: Roles must alternate");
}

TEST(ChatTemplate, ErrorsOfTheTextNameTheLine) {
  const auto parse_error = [](const std::string& source) {
    try {
      ChatTemplate::parse(source, "model/x.jinja");
    } catch (const ValueError& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  const std::string at = "[chat_template] model/x.jinja, line ";
  EXPECT_EQ(parse_error("a\n{% if x %}\nb"),
            at + "3: the template ends where 'endif' is still to come.");
  EXPECT_EQ(parse_error("\n\n{{ x"), at + "3: this tag has no end, }} is missing.");
  EXPECT_EQ(parse_error("{% nope %}"),
            at + "1: the tag 'nope' is unknown or does not belong here.");
  EXPECT_EQ(parse_error("{{ a b }}"), at + "1: '}}' is missing before 'b'.");
  EXPECT_EQ(parse_error("{{ 1 + }}"), at + "1: an expression is missing before '}}'.");
  EXPECT_EQ(parse_error("{{ (1] }}"), at + "1: unexpected ']', ')' comes first.");
  EXPECT_EQ(parse_error("{{ 'x }}"), at + "1: this string has no end, ' is missing.");
  EXPECT_EQ(parse_error("{# x"), at + "1: this comment has no end, #} is missing.");
  EXPECT_EQ(parse_error("{% break %}"), at + "1: 'break' stands outside of a loop.");
  EXPECT_EQ(parse_error("{{ 99999999999999999999 }}"),
            at + "1: the number 99999999999999999999 does not fit 64 bits.");
  EXPECT_EQ(parse_error("\xff"), "[chat_template] model/x.jinja: the text is not valid UTF-8.");
}

TEST(ChatTemplate, ErrorsOfTheRunNameTheLine) {
  const std::string at = "[chat_template] chat_template, line ";
  EXPECT_EQ(error_of("\n{{ a.b }}"), at + "2: 'a' is undefined.");
  EXPECT_EQ(error_of("{{ {}.a.b }}"), at + "1: 'dict' has no attribute 'a'.");
  EXPECT_EQ(error_of("{{ 'a' + 1 }}"), at + "1: str + int is not possible.");
  EXPECT_EQ(error_of("{{ [1].append(2) }}"),
            at + "1: 'append' of a list changes it, which a template may not.");
  EXPECT_EQ(error_of("{{ 9223372036854775807 + 1 }}"),
            at + "1: 9223372036854775807 + 1 does not fit 64 bits.");
  EXPECT_EQ(error_of("{{ x | nope }}"), at + "1: there is no filter 'nope'.");
  EXPECT_EQ(error_of("{{ x is nope }}"), at + "1: there is no test 'nope'.");
  EXPECT_EQ(error_of("{{ x | default(1, nope=2) }}"), at + "1: default has no argument 'nope'.");
  EXPECT_EQ(error_of("{% macro f(a) %}\n\n{{ a.b }}{% endmacro %}\n{{ f() }}"),
            at + "3: parameter 'a' was not provided.");
}

TEST(ChatTemplate, TheVariablesAreAJsonObject) {
  EXPECT_EQ(error_of("x", "[1]"),
            "[chat_template] chat_template: the variables are a JSON array, not an object.");
  EXPECT_THAT(error_of("x", "{"),
              testing::StartsWith("[chat_template] chat_template: the variables are no JSON: "));
  EXPECT_EQ(error_of("{{ v }}", "{\"v\": " + repeated("[", 120) + repeated("]", 120) + "}"),
            "[chat_template] chat_template, line 1: the variables are nested more than 100 deep.");
}

// ---------------------------------------------------------------- budgets

TEST(ChatTemplateBudget, Steps) {
  EXPECT_EQ(error_of("\n{% for i in range(1000) %}{% for j in range(1000) %}{{ i }}{% endfor %}"
                     "{% endfor %}",
                     "{}", {.steps = 1000}),
            "[chat_template] chat_template, line 2: the budget of 1000 steps ran out.");
}

TEST(ChatTemplateBudget, Output) {
  EXPECT_EQ(error_of("{% for i in range(100) %}0123456789{% endfor %}", "{}", {.output_bytes = 99}),
            "[chat_template] chat_template, line 1: a text of 100 bytes exceeds the budget of 99 "
            "(output_bytes).");
}

TEST(ChatTemplateBudget, Repetition) {
  EXPECT_EQ(
      error_of("{{ 'a' * 10 ** 9 }}"),
      "[chat_template] chat_template, line 1: a text of 1000000000 bytes exceeds the budget of "
      "16777216 (output_bytes).");
  EXPECT_EQ(error_of("{{ [0] * 10 ** 9 }}"),
            "[chat_template] chat_template, line 1: the values need more than the budget of "
            "268435456 bytes (memory_bytes).");
  EXPECT_EQ(error_of("{{ range(10 ** 9) }}"),
            "[chat_template] chat_template, line 1: range: 1000000000 items, at most 100000 are "
            "allowed.");
}

TEST(ChatTemplateBudget, Memory) {
  const std::string grow =
      "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = ns.l + ['x' * 100000] "
      "%}"
      "{% endfor %}";
  EXPECT_EQ(
      error_of(grow, "{}", {.memory_bytes = 1 << 20}),
      "[chat_template] chat_template, line 1: the values need more than the budget of 1048576 "
      "bytes (memory_bytes).");
  // What is dropped is given back: 1000 texts one after the other fit.
  EXPECT_EQ(render("{% for i in range(1000) %}{% set x = 'x' * 100000 %}{% endfor %}ok", "{}",
                   {.memory_bytes = 1 << 20}),
            "ok");
}

TEST(ChatTemplateBudget, Depth) {
  EXPECT_EQ(
      error_of("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}"),
      "[chat_template] chat_template, line 1: calls are nested more than 64 deep (depth), last "
      "of the macro 'f'.");
  EXPECT_EQ(error_of("{% set ns = namespace() %}{% set ns.l = [ns] %}{{ ns }}"),
            "[chat_template] chat_template, line 1: a value nested more than 150 deep cannot be "
            "printed.");
  EXPECT_EQ(
      error_of("{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}"
               "{% endfor %}"),
      "[chat_template] chat_template, line 1: values are nested more than 128 deep.");
}

TEST(ChatTemplateBudget, NestingOfTheText) {
  const std::string deep =
      "[chat_template] chat_template, line 1: blocks and expressions are nested "
      "more than 100 deep.";
  EXPECT_EQ(error_of("{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}"), deep);
  EXPECT_EQ(error_of("{{ " + repeated("[", 100000)),
            "[chat_template] chat_template, line 1: this tag "
            "has no end, }} is missing.");
  EXPECT_EQ(error_of("{{ " + repeated("-", 5000) + "1 }}"), deep);
  EXPECT_EQ(error_of("{{ " + repeated("not ", 5000) + "1 }}"), deep);
  EXPECT_EQ(error_of(repeated("{% if x %}", 5000) + repeated("{% endif %}", 5000)), deep);
  EXPECT_EQ(error_of("{{ 1" + repeated(" + 1", 5000) + " }}"),
            "[chat_template] chat_template, line 1: this expression is more than 800 operations "
            "tall.");
  EXPECT_EQ(render("{{ 1" + repeated(" + 1", 500) + " }}"), "501");
  EXPECT_EQ(render("{{ 1" + repeated(" ~ 1", 500) + " }}"), repeated("1", 501));
}

// The stack is bounded even where every bound of its own is kept.
TEST(ChatTemplateBudget, Stack) {
  const std::string wide = repeated("[", 90) + "f()" + repeated("]", 90);
  EXPECT_THAT(
      error_of("{% macro f() %}{{ " + wide + " }}{% endmacro %}{{ f() }}", "{}", {.depth = 100000}),
      testing::HasSubstr("nested too deeply"));
}

// Each of these once took, or could take, minutes: quadratic searches, shared values that a walk
// sees again and again, wide formats.
TEST(ChatTemplateBudget, HostileTemplatesEndSoon) {
  const char* sources[] = {
      "{% set s = 'a' * 8000000 %}{% for i in range(9999) %}{{ s.find('a' * 4000000 ~ 'b') }}{% "
      "endfor %}",
      "{% set s = 'a' * 8000000 %}{% for i in range(9999) %}{{ s.rfind('b' ~ 'a' * 4000000) }}{% "
      "endfor %}",
      "{% set s = 'a' * 8000000 %}{% for i in range(99999) %}{% if s == s ~ '' %}{% endif %}{% "
      "endfor %}",
      "{% set ns = namespace(l=[1], k=[1]) %}{% for i in range(100) %}{% set ns.l = [ns.l, ns.l] %}"
      "{% set ns.k = [ns.k, ns.k] %}{% endfor %}{{ ns.l == ns.k }}",
      "{% set ns = namespace(l=[1]) %}{% for i in range(100) %}{% set ns.l = [ns.l, ns.l] %}{% "
      "endfor %}"
      "{{ ns.l | tojson }}",
      "{% set ns = namespace(l=(1,)) %}{% for i in range(100) %}{% set ns.l = (ns.l, ns.l) %}{% "
      "endfor %}"
      "{{ {ns.l: 1} }}",
      "{{ '%*d' % (1000000000, 1) }}",
      "{{ '{:1000000000}'.format(1) }}",
      "{{ '%.1000000000f' % 1 }}",
      "{{ 'a'.center(1000000000000) }}",
      "{{ 'a' | indent(1000000000000) }}",
      "{{ 'a'.zfill(1000000000000) }}",
      "{{ [1] | batch(1000000000000, 1) | list }}",
      "{{ [1] | slice(1000000000000, 1) | list }}",
      "{{ [1] | tojson(indent=1000000000000) }}",
      "{{ ('a' * 4000).replace('', 'b' * 8000000) }}",
      "{{ (['a' * 9000] * 9000) | join('b' * 9000) }}",
      "{{ ('\\t' * 16000000).expandtabs(1000000) }}",
      "{% for i in range(99999) %}{% set x = range(99999) %}{% endfor %}",
      "{% for i in range(99999) recursive %}{{ loop(range(99999)) }}{% endfor %}",
      "{% macro f(k) %}{% for i in range(9) %}{{ f(k) }}{% endfor %}{% endmacro %}{{ f(1) }}",
      "{{ ('a ' * 8000000).split() | length }}",
      "{{ (('a' * 8000000) | list) | length }}",
      "{{ (range(99999) | list) * 9999 }}",
      "{{ dict(range(99999) | batch(2)) | length }}{{ range(99999) | sort | unique | sum }}",
  };
  for (const char* source : sources) {
    const auto begin = std::chrono::steady_clock::now();
    std::string result;
    try {
      result = render(source);
    } catch (const ValueError& e) {
      EXPECT_THAT(e.what(), testing::StartsWith("[chat_template] chat_template, line "));
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    EXPECT_LT(seconds.count(), 20) << source;
  }
}

TEST(ChatTemplate, ManyThreadsRenderOneTemplate) {
  const ChatTemplate t = ChatTemplate::parse(
      "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
      "{{ m.role ~ ':' ~ m.content | upper }};{% endfor %}{{ ns.n }}");
  const std::string expected = "system:BE BRIEF.;user:HÉ 世界;2";
  std::vector<std::string> results(4);
  std::vector<std::thread> threads;
  for (std::string& result : results) {
    threads.emplace_back([&t, &result, &expected] {
      for (int i = 0; i < 200; ++i) {
        result = t.render(kChat);
        if (result != expected) return;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& result : results) EXPECT_EQ(result, expected);
}

}  // namespace
