// Values as text: Python's str and repr, and JSON.
#pragma once

#include <string>
#include <string_view>

#include "lm/chat_template/render.h"

namespace tarn::lm::jinja {

std::string real_text(double d);
void append_repr(Render& r, std::string& out, const Value& v);
void append_text(Render& r, std::string& out, const Value& v);
void append_text(Render& r, Marked& out, const Value& v);
std::string repr_text(Render& r, const Value& v);

struct JsonStyle {
  bool ascii = false;
  bool sort_keys = false;
  bool indented = false;
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
void append_json(Render& r, std::string& out, const Value& v, const JsonStyle& style,
                 int level = 0);

}  // namespace tarn::lm::jinja
