#include <algorithm>

#include "base/require.h"
#include "lm/marks.h"
#include "lm/tools/formats.h"

namespace tarn::lm {

using tools::Format;
using Reason = RejectedToolCall::Reason;

namespace {

tools::Schemas schemas_of(const std::vector<ToolSpec>& specs) {
  tools::Schemas schemas;
  for (const auto& tool : specs) {
    Json schema = parse_json(tool.parameters, "the parameters of tool " + tool.name);
    require(schema.is_object(), "[tools] the parameters of tool {} are no JSON object.", tool.name);
    schemas.insert_or_assign(tool.name, std::move(schema));
  }
  return schemas;
}

}  // namespace

struct ToolCallParser::Impl {
  const Format& format;
  tools::Schemas schemas;
  std::string buffer{};     // what was not given out yet
  bool inside = false;      // of a call: the buffer is what stands behind its mark
  bool is_bare = false;     // of a call without marks
  bool is_start = true;     // of the answer: nothing but space so far
  std::string_view mark{};  // that began the call
  std::vector<Part> parts{};

  void give_text(std::string text) {
    if (text.empty()) return;
    if (!parts.empty() && !parts.back().call && !parts.back().rejected)
      parts.back().text += text;
    else
      parts.push_back({.text = std::move(text)});
  }

  void give_rejected(std::string_view payload, tools::Reject why, bool is_cut) {
    bool unfinished = is_cut && why.reason == Reason::malformed_syntax;
    std::string text = std::string(mark) + std::string(payload);
    RejectedToolCall r{.reason = unfinished ? Reason::incomplete_output : why.reason,
                       .name = std::move(why.name),
                       .text = text.substr(0, RejectedToolCall::most_text),
                       .text_size = text.size(),
                       .detail = std::move(why.detail)};
    parts.push_back({.rejected = std::move(r)});
  }

  // The payload of a call that ended by a mark, or with the answer.
  void give_calls(std::string_view payload, bool is_cut) {
    try {
      for (auto& call : format.read(payload, schemas)) parts.push_back({.call = std::move(call)});
    } catch (tools::Reject& why) {
      // An answer may be a JSON object that is no call.
      bool may_be_text = is_bare && why.reason != Reason::invalid_arguments;
      if (may_be_text)
        give_text(std::string(payload));
      else
        give_rejected(payload, std::move(why), is_cut);
    }
  }

  // True when the buffer may hold more that can be given out.
  bool step_outside() {
    if (format.may_be_bare && is_start) {
      size_t first = buffer.find_first_not_of(" \t\r\n");
      if (first == std::string::npos) return false;
      is_start = false;
      if (buffer[first] == '{') {
        give_text(buffer.substr(0, first));
        buffer.erase(0, first);
        mark = {}, is_bare = true, inside = true;
        return true;
      }
    }
    FoundMark begin = first_mark(buffer, format.begins);
    FoundMark drop = first_mark(buffer, format.dropped);
    FoundMark next = begin.at <= drop.at ? begin : drop;
    if (!next.is_there()) {
      size_t keep = std::max(held_back(buffer, format.begins), held_back(buffer, format.dropped));
      give_text(buffer.substr(0, buffer.size() - keep));
      buffer.erase(0, buffer.size() - keep);
      return false;
    }
    give_text(buffer.substr(0, next.at));
    if (next.at == begin.at) {
      inside = true, is_bare = false;
      mark = *std::find_if(format.begins.begin(), format.begins.end(), [&](std::string_view m) {
        return std::string_view(buffer).substr(begin.at).starts_with(m);
      });
    }
    buffer.erase(0, next.at + next.size);
    return true;
  }

  bool step_inside() {
    if (format.has_header && opens_text()) return true;
    FoundMark end = first_mark(buffer, format.ends);
    if (!end.is_there()) return false;
    give_calls(std::string_view(buffer).substr(0, end.at), false);
    // Where the mark of the next call ends this one, it stays.
    bool begins_next = std::equal(format.ends.begin(), format.ends.end(), format.begins.begin(),
                                  format.begins.end());
    buffer.erase(0, begins_next ? end.at : end.at + end.size);
    inside = false;
    return true;
  }

  // A frame with a header that is text, not a call: from here on it is given out.
  bool opens_text() {
    constexpr std::string_view message = "<|message|>";
    size_t cut = buffer.find(message);
    if (cut == std::string::npos) return false;
    std::string_view header = std::string_view(buffer).substr(0, cut);
    bool is_text = header.find("to=") == std::string_view::npos &&
                   header.find("analysis") == std::string_view::npos;
    if (is_text) buffer.erase(0, cut + message.size()), inside = false;
    return is_text;
  }

  std::vector<Part> run() {
    while (inside ? step_inside() : step_outside()) continue;
    return std::exchange(parts, {});
  }
};

ToolCallParser::ToolCallParser(ToolCallFormat format, const std::vector<ToolSpec>& specs)
    : impl_(std::make_unique<Impl>(Impl{tools::format_of(format), schemas_of(specs)})) {
  require(format != ToolCallFormat::none, "[tools] a format is needed to read calls.");
}
ToolCallParser::ToolCallParser(ToolCallParser&&) noexcept = default;
ToolCallParser& ToolCallParser::operator=(ToolCallParser&&) noexcept = default;
ToolCallParser::~ToolCallParser() = default;

std::vector<ToolCallParser::Part> ToolCallParser::feed(std::string_view text) {
  impl_->buffer += text;
  return impl_->run();
}

std::vector<ToolCallParser::Part> ToolCallParser::finish() {
  std::string rest = std::exchange(impl_->buffer, {});
  if (std::exchange(impl_->inside, false))
    impl_->give_calls(rest, true);
  else
    impl_->give_text(std::move(rest));
  return std::exchange(impl_->parts, {});
}

bool ToolCallParser::is_mark(std::string_view token) const {
  const Format& f = impl_->format;
  for (auto marks : {f.begins, f.ends, f.dropped})
    if (std::find(marks.begin(), marks.end(), token) != marks.end()) return true;
  constexpr std::string_view inner[] = {"[ARGS]",
                                        "[CALL_ID]",
                                        "<escape>",
                                        "<|\"|>",
                                        "<|tool_call_begin|>",
                                        "<|message|>",
                                        "<|constrain|>",
                                        "<|tool_call_argument_begin|>",
                                        "<|tool_call_end|>",
                                        "<arg_key>",
                                        "</arg_key>",
                                        "<arg_value>",
                                        "</arg_value>"};
  return impl_->inside && std::find(std::begin(inner), std::end(inner), token) != std::end(inner);
}

std::string_view name_of(RejectedToolCall::Reason reason) {
  switch (reason) {
    case Reason::malformed_syntax:
      return "malformed_syntax";
    case Reason::incomplete_output:
      return "incomplete_output";
    case Reason::missing_tool_name:
      return "missing_tool_name";
    case Reason::undeclared_tool:
      return "undeclared_tool";
    case Reason::invalid_arguments:
      return "invalid_arguments";
  }
  return "unknown";
}

}  // namespace tarn::lm
