#include "lm/train/lines.h"

#include "base/printable.h"
#include "base/require.h"

namespace tarn::lm {
namespace {

// Walks the text of a valid JSON value.
struct Walker {
  std::string_view text{};
  size_t at = 0;

  char now() const { return at < text.size() ? text[at] : '\0'; }
  void space() {
    while (at < text.size() && std::string_view(" \t\r\n").find(text[at]) != text.npos) ++at;
  }
  std::string_view quoted() {
    size_t begin = ++at;
    while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
    std::string_view inside = text.substr(std::min(begin, text.size()), at - begin);
    ++at;
    return inside;
  }
  void value() {
    int depth = 0;
    do {
      space();
      char c = now();
      if (c == '"') {
        quoted();
      } else {
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        ++at;
        if (depth == 0 && c != '}' && c != ']')  // a number or a word
          while (at < text.size() && std::string_view(",]} \t\r\n").find(now()) == text.npos) ++at;
      }
    } while (depth > 0 && at < text.size());
  }
  // From the beginning of a container to that of its member.
  bool enter(const JsonStep& step) {
    ++at;
    for (size_t i = 0; at < text.size(); ++i) {
      space();
      if (now() == '}' || now() == ']') return false;
      bool found = std::holds_alternative<size_t>(step) && std::get<size_t>(step) == i;
      if (const auto* name = std::get_if<std::string>(&step)) {
        found = quoted() == *name;
        space(), ++at, space();
      }
      if (found) return true;
      value(), space();
      if (now() == ',') ++at;
    }
    return false;
  }
};

std::string_view kind_of(const OrderedJson& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  if (value.is_string()) return "a text";
  if (value.is_number()) return "a number";
  return value.is_null() ? "null" : "true or false";
}

}  // namespace

void Line::fail_at(size_t column, std::string_view why) const {
  tarn::fail<FileError>("[data] {}, line {}, column {}: {}", printable(file, 4096), number, column,
                        why);
}

size_t column_of(std::string_view text, const std::vector<JsonStep>& path) {
  Walker walker{text};
  walker.space();
  size_t found = walker.at;
  for (const JsonStep& step : path) {
    if (!walker.enter(step)) break;
    found = walker.at;
  }
  return found + 1;
}

std::string Node::name() const {
  std::string name;
  for (const JsonStep& step : path_) {
    if (const auto* member = std::get_if<std::string>(&step))
      name += (name.empty() ? "" : ".") + *member;
    else
      name += fmt::format("[{}]", std::get<size_t>(step));
  }
  return name.empty() ? "the line" : name;
}

void Node::fail(std::string_view why) const {
  line_.fail_at(column_of(line_.text, path_), fmt::format("{} {}", name(), why));
}
void Node::fail_type(std::string_view needed) const {
  fail(fmt::format("is {}; {} is needed.", kind_of(value_), needed));
}

Node Node::member(const char* name, std::string_view needed) const {
  if (!value_.contains(name)) fail(fmt::format("has no \"{}\"; {} is needed.", name, needed));
  auto path = path_;
  path.emplace_back(std::string(name));
  return Node(line_, value_.at(name), std::move(path));
}
std::vector<Node> Node::items(std::string_view needed) const {
  if (!value_.is_array()) fail_type(needed);
  if (value_.empty()) fail(fmt::format("is empty; {} is needed.", needed));
  std::vector<Node> all;
  for (size_t i = 0; i < value_.size(); ++i) {
    auto path = path_;
    path.emplace_back(i);
    all.push_back(Node(line_, value_[i], std::move(path)));
  }
  return all;
}
const std::string& Node::text(std::string_view needed) const {
  if (!value_.is_string()) fail_type(needed);
  return value_.get_ref<const std::string&>();
}
void Node::need_object(std::string_view needed) const {
  if (!value_.is_object()) fail_type(needed);
}

}  // namespace tarn::lm
