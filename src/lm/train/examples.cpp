// From lines of JSON to examples. mlx-lm looks for completions first, then for chats, then for
// text.
#include "lm/train/examples.h"

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/hash.h"
#include "base/json_error.h"
#include "base/printable.h"
#include "base/require.h"
#include "base/trim.h"
#include "lm/train/lines.h"

namespace tarn::lm {
namespace {

constexpr uint64_t most_example_bytes = uint64_t{2} << 30;
constexpr std::array roles{"system", "user", "assistant", "tool", "developer"};

bool is_blank(std::string_view text) { return trimmed(text).empty(); }

std::string text_of_parts(const Node& content) {
  std::string text;
  for (const Node& part : content.items("a text, or a list of its parts,")) {
    part.need_object("an object {\"type\": \"text\", \"text\": ...}");
    Node type = part.member("type", "\"text\"");
    if (type.text("\"text\"") != "text")
      type.fail(fmt::format("is \"{}\"; only parts of the type \"text\" can be trained on.",
                            printable(type.text("\"text\""))));
    text += part.member("text", "its text").text("a text");
  }
  return text;
}

ToolCall read_call(const Node& node) {
  node.need_object("an object {\"function\": {\"name\": ..., \"arguments\": ...}}");
  Node function = node.member("function", "{\"name\": ..., \"arguments\": ...}");
  function.need_object("an object {\"name\": ..., \"arguments\": ...}");
  ToolCall call;
  call.name = function.member("name", "the tool's name").text("a text");
  if (node.has("id")) call.id = node.member("id", "").text("a text");
  if (!function.has("arguments")) return call;
  Node arguments = function.member("arguments", "");
  if (!arguments.json().is_string()) {
    arguments.need_object("an object, or the text of one,");
    call.arguments = arguments.json().dump();
    return call;
  }
  call.arguments = arguments.text("");
  try {
    if (parse_ordered_json(call.arguments, "arguments").is_object()) return call;
  } catch (const JsonError&) {
  }
  arguments.fail("is not the text of a JSON object; {\"city\": \"Rome\"} would be one.");
}

Message read_message(const Node& node) {
  node.need_object("an object {\"role\": ..., \"content\": ...}");
  Message m;
  Node role = node.member("role", "one of system, user, assistant and tool");
  m.role = role.text("one of system, user, assistant and tool");
  if (std::find(roles.begin(), roles.end(), m.role) == roles.end())
    role.fail(fmt::format("is \"{}\"; one of system, user, assistant and tool is needed.",
                          printable(m.role)));
  if (node.has("tool_calls"))
    for (const Node& call : node.member("tool_calls", "").items("a list of calls"))
      m.tool_calls.push_back(read_call(call));
  if (m.tool_calls.empty() || node.has("content")) {
    Node content = node.member("content", "its text");
    m.content = content.json().is_array() ? text_of_parts(content) : content.text("a text");
    if (m.role == "assistant" && m.tool_calls.empty() && is_blank(m.content))
      content.fail("is empty; there is nothing to learn from such an answer. Take the line out.");
  }
  if (node.has("tool_call_id")) m.tool_call_id = node.member("tool_call_id", "").text("a text");
  if (node.has("name")) m.name = node.member("name", "").text("a text");
  return m;
}

ToolSpec read_tool(const Node& node) {
  node.need_object("an object {\"type\": \"function\", \"function\": {...}}");
  Node function = node.member("function", "{\"name\": ..., \"parameters\": ...}");
  function.need_object("an object {\"name\": ..., \"parameters\": ...}");
  ToolSpec tool;
  tool.name = function.member("name", "the tool's name").text("a text");
  if (function.has("description"))
    tool.description = function.member("description", "").text("a text");
  if (!function.has("parameters")) return tool;
  Node parameters = function.member("parameters", "");
  parameters.need_object("a JSON schema");
  tool.parameters = parameters.json().dump();
  return tool;
}

std::string whole_text(const Node& node, const char* name) {
  Node member = node.member(name, "a text");
  const std::string& text = member.text("a text");
  if (is_blank(text)) member.fail("is empty. Take the line out, or write what belongs there.");
  return text;
}

void read_chat(const Node& node, Example& example) {
  Node list = node.member("messages", "");
  for (const Node& message : list.items("a list of {\"role\": ..., \"content\": ...}"))
    example.messages.push_back(read_message(message));
  bool answers = std::any_of(example.messages.begin(), example.messages.end(),
                             [](const Message& m) { return m.role == "assistant"; });
  if (!answers)
    list.fail(
        "has no assistant turn: there is no answer to learn. Add one, or use {\"text\": ...}.");
  if (node.has("tools"))
    for (const Node& tool : node.member("tools", "").items("a list of tools"))
      example.tools.push_back(read_tool(tool));
}

Example read_example(const Node& node) {
  node.need_object("an object such as {\"messages\": [...]}");
  Example example;
  if (node.has("prompt") || node.has("completion")) {
    example.is_completion = true;
    example.messages = {{"user", whole_text(node, "prompt")},
                        {"assistant", whole_text(node, "completion")}};
  } else if (node.has("messages")) {
    read_chat(node, example);
  } else if (node.has("text")) {
    example.text = whole_text(node, "text");
  } else {
    std::vector<std::string> names;
    for (const auto& [name, value] : node.json().items())
      names.push_back("\"" + printable(name, 40) + "\"");
    node.fail(
        fmt::format("has {}; \"messages\", \"prompt\" and \"completion\", or \"text\" is "
                    "needed.",
                    names.empty() ? "no keys" : fmt::format("{}", joined(names))));
  }
  return example;
}

Example read_line(const Line& line) {
  OrderedJson json;
  try {
    json = parse_ordered_json(line.text, "");
  } catch (const JsonError& error) {
    bool bytes = error.why.find("ill-formed UTF-8") != std::string::npos;
    if (!bytes && line.number == 1 && line.text.starts_with('['))
      line.fail_at(1,
                   "a list begins here; each line is one object. `jq -c '.[]'` makes such lines.");
    size_t column = std::min(error.byte, line.text.size() - 1) + 1;
    line.fail_at(column, bytes ? "the bytes are not UTF-8. Save the file in that encoding."
                               : fmt::format("{}. Each line is one JSON object.", error.why));
  }
  Example example = read_example(Node(line, json));
  example.line = line.number;
  Hash hash;
  hash.add(json.dump());
  example.hash = hash.a;
  return example;
}

}  // namespace

std::vector<Example> read_examples(const std::string& file) {
  std::string content = read_text(file, most_example_bytes);
  std::vector<Example> all;
  std::string first_mistake;
  int64_t number = 0, mistakes = 0;
  // Columns are counted behind a byte order mark, which nobody sees.
  for (size_t at = content.starts_with("\xEF\xBB\xBF") ? 3 : 0; at < content.size();) {
    size_t end = std::min(content.find('\n', at), content.size());
    Line line{file, ++number, std::string_view(content).substr(at, end - at)};
    at = end + 1;
    if (is_blank(line.text)) continue;
    try {
      all.push_back(read_line(line));
    } catch (const FileError& error) {
      if (mistakes++ == 0) first_mistake = error.what();
    }
  }
  if (mistakes > 1) first_mistake += fmt::format(" ({} lines have mistakes.)", mistakes);
  if (mistakes > 0) throw FileError(first_mistake);
  require<FileError>(!all.empty(),
                     "[data] {}: there are no examples. Each line is one, such as "
                     "{{\"prompt\": \"2 + 2?\", \"completion\": \"4\"}}.",
                     printable(file, 4096));
  return all;
}

}  // namespace tarn::lm
