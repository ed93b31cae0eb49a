#include "lm/chat_template/print.h"

#include <algorithm>
#include <cmath>

#include "lm/chat_template/unicode.h"

namespace tarn::lm::jinja {
namespace {

// Namespaces may hold each other, so printing has its own bound.
constexpr int kPrintDepth = 150;

void append_repr(Render& r, std::string& out, const Value& v, int level);

void append_quoted(std::string& out, std::string_view s) {
  const bool single = s.find('\'') != s.npos;
  const char quote = single && s.find('"') == s.npos ? '"' : '\'';
  out += quote;
  for (size_t at = 0; at < s.size();) {
    const size_t begin = at;
    const int32_t c = decode(s, at);
    if (c == quote || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      out += s.substr(begin, at - begin);
    } else {
      out += c < 0x100     ? fmt::format("\\x{:02x}", c)
             : c < 0x10000 ? fmt::format("\\u{:04x}", c)
                           : fmt::format("\\U{:08x}", c);
    }
  }
  out += quote;
}

void append_items(Render& r, std::string& out, const std::vector<Value>& items, int level) {
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    append_repr(r, out, items[i], level);
  }
}

void append_dict(Render& r, std::string& out, const Dict& d, int level) {
  out += '{';
  bool first = true;
  for (const auto& [key, value] : d.entries) {
    if (!first) out += ", ";
    first = false;
    append_repr(r, out, key, level);
    out += ": ";
    append_repr(r, out, value, level);
  }
  out += '}';
}

void append_sequence(Render& r, std::string& out, const Sequence& s, int level) {
  switch (s.flavor) {
    case Flavor::list:
      out += '[';
      append_items(r, out, s.items, level);
      out += ']';
      return;
    case Flavor::tuple:
      out += '(';
      append_items(r, out, s.items, level);
      out += s.items.size() == 1 ? ",)" : ")";
      return;
    case Flavor::range:
      out += s.stride == 1 ? fmt::format("range({}, {})", s.start, s.stop)
                           : fmt::format("range({}, {}, {})", s.start, s.stop, s.stride);
      return;
    case Flavor::generator:
      out += "<generator object>";
      return;
    case Flavor::items:
    case Flavor::keys:
    case Flavor::values:
      out += s.flavor == Flavor::items  ? "dict_items(["
             : s.flavor == Flavor::keys ? "dict_keys(["
                                        : "dict_values([";
      append_items(r, out, s.items, level);
      out += "])";
  }
}

void append_repr(Render& r, std::string& out, const Value& v, int level) {
  r.step();
  r.check_length(static_cast<int64_t>(out.size()));
  if (level > kPrintDepth)
    r.fail("a value nested more than {} deep cannot be printed.", kPrintDepth);
  switch (v.type()) {
    case Type::missing:
    case Type::undefined:
      out += "Undefined";
      return;
    case Type::none:
      out += "None";
      return;
    case Type::boolean:
      out += v.whole() != 0 ? "True" : "False";
      return;
    case Type::integer:
      out += std::to_string(v.whole());
      return;
    case Type::real:
      out += real_text(v.number());
      return;
    case Type::string:
      if (v.string().markup) out += "Markup(";
      append_quoted(out, v.text());
      if (v.string().markup) out += ')';
      return;
    case Type::sequence:
      return append_sequence(r, out, v.sequence(), level + 1);
    case Type::dict:
      return append_dict(r, out, v.dict(), level + 1);
    case Type::name_space:
      out += "<Namespace ";
      append_dict(r, out, v.object<Namespace>().attributes, level + 1);
      out += '>';
      return;
    case Type::macro: {
      const std::string& name = v.object<Macro>().signature->name;
      out += "<Macro '" + name + "'>";
      return;
    }
    default:
      out += fmt::format("<{} object>", type_name(v));
  }
}

void append_json_string(std::string& out, std::string_view s, bool ascii) {
  out += '"';
  for (size_t at = 0; at < s.size();) {
    const size_t begin = at;
    const int32_t c = decode(s, at);
    switch (c) {
      case '"':
        out += "\\\"";
        continue;
      case '\\':
        out += "\\\\";
        continue;
      case '\n':
        out += "\\n";
        continue;
      case '\r':
        out += "\\r";
        continue;
      case '\t':
        out += "\\t";
        continue;
      case '\b':
        out += "\\b";
        continue;
      case '\f':
        out += "\\f";
        continue;
      default:
        break;
    }
    if (c >= 0x20 && (c < 0x7F || !ascii)) {
      out += s.substr(begin, at - begin);
    } else if (c < 0x10000) {
      out += fmt::format("\\u{:04x}", c);
    } else {
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD7C0 + (c >> 10), 0xDC00 + (c & 0x3FF));
    }
  }
  out += '"';
}

std::string json_real(double d) {
  if (std::isnan(d)) return "NaN";
  if (std::isinf(d)) return d < 0 ? "-Infinity" : "Infinity";
  return real_text(d);
}

std::string json_key(Render& r, const Value& key) {
  switch (key.type()) {
    case Type::string:
      return key.text();
    case Type::boolean:
      return key.whole() != 0 ? "true" : "false";
    case Type::none:
      return "null";
    case Type::integer:
      return std::to_string(key.whole());
    case Type::real:
      return json_real(key.number());
    default:
      r.fail("a JSON key cannot be a {}.", type_name(key));
  }
}

void append_line(std::string& out, const JsonStyle& style, int level) {
  if (!style.indented) return;
  out += '\n';
  for (int i = 0; i < level; ++i) out += style.indent;
}

void append_json_dict(Render& r, std::string& out, const Dict& d, const JsonStyle& style,
                      int level) {
  if (d.entries.empty()) {
    out += "{}";
    return;
  }
  std::vector<const std::pair<Value, Value>*> entries;
  for (const auto& entry : d.entries) entries.push_back(&entry);
  if (style.sort_keys) {
    std::stable_sort(entries.begin(), entries.end(),
                     [&](const auto* a, const auto* b) { return less(r, a->first, b->first); });
  }
  out += '{';
  for (size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) out += style.item_separator;
    append_line(out, style, level + 1);
    append_json_string(out, json_key(r, entries[i]->first), style.ascii);
    out += style.key_separator;
    append_json(r, out, entries[i]->second, style, level + 1);
  }
  append_line(out, style, level);
  out += '}';
}

void append_json_list(Render& r, std::string& out, const std::vector<Value>& items,
                      const JsonStyle& style, int level) {
  if (items.empty()) {
    out += "[]";
    return;
  }
  out += '[';
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += style.item_separator;
    append_line(out, style, level + 1);
    append_json(r, out, items[i], style, level + 1);
  }
  append_line(out, style, level);
  out += ']';
}

}  // namespace

std::string real_text(double d) {
  std::string s = fmt::format("{}", d);
  if (s.find_first_not_of("-0123456789") == s.npos) s += ".0";
  return s;
}

void append_repr(Render& r, std::string& out, const Value& v) { append_repr(r, out, v, 0); }

void append_text(Render& r, Marked& out, const Value& v) {
  if (v.is(Type::string)) return out.append(v.string());
  std::string s;
  append_text(r, s, v);
  out.append_foreign(s);
}

void append_text(Render& r, std::string& out, const Value& v) {
  if (v.is(Type::string)) {
    out += v.text();
  } else if (!v.is(Type::undefined)) {
    append_repr(r, out, v, 0);
  }
}

std::string repr_text(Render& r, const Value& v) {
  std::string out;
  append_repr(r, out, v, 0);
  return out;
}

void append_json(Render& r, std::string& out, const Value& v, const JsonStyle& style, int level) {
  r.step();
  r.check_length(static_cast<int64_t>(out.size()));
  switch (v.type()) {
    case Type::none:
      out += "null";
      return;
    case Type::boolean:
      out += v.whole() != 0 ? "true" : "false";
      return;
    case Type::integer:
      out += std::to_string(v.whole());
      return;
    case Type::real:
      out += json_real(v.number());
      return;
    case Type::string:
      return append_json_string(out, v.text(), style.ascii);
    case Type::dict:
      return append_json_dict(r, out, v.dict(), style, level);
    case Type::sequence:
      if (v.sequence().flavor <= Flavor::tuple) {
        return append_json_list(r, out, v.sequence().items, style, level);
      }
      [[fallthrough]];
    default:
      r.fail("tojson: a {} is not JSON.", type_name(v));
  }
}

}  // namespace tarn::lm::jinja
