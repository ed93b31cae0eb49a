// Filters of texts.
#include "lm/chat_template/filters.h"

#include <algorithm>
#include <unordered_map>

#include "lm/chat_template/print.h"
#include "lm/chat_template/unicode.h"

namespace tarn::lm::jinja {
namespace {

// What the input prints as.
std::string printed(Render& r, const Value& v) {
  std::string out;
  append_text(r, out, v);
  return out;
}

template <std::string (*Convert)(std::string_view)>
Value convert(Render& r, const Value& input, Args& args) {
  Bound(r, "the filter", args, {});
  r.step(weight(input));
  return r.text(Convert(printed(r, input)));
}

// Jinja's own title: a word begins after space, a hyphen or an opening bracket.
std::string title_words(std::string_view s) {
  std::string out;
  for (size_t at = 0; at < s.size();) {
    size_t begin = at;
    const auto separates = [&](size_t i) {
      return space_at(s, i) > 0 || std::string_view("-({[<").find(s[i]) != std::string_view::npos;
    };
    while (at < s.size() && separates(at)) decode(s, at);
    out += s.substr(begin, at - begin);
    if (at >= s.size()) break;
    begin = at;
    decode(s, at);
    out += upper(s.substr(begin, at - begin));
    begin = at;
    while (at < s.size() && !separates(at)) decode(s, at);
    out += lower(s.substr(begin, at - begin));
  }
  return out;
}

Value default_filter(Render& r, const Value& input, Args& args) {
  const Bound b(r, "default", args, {"default_value", "boolean"});
  const bool use = input.is(Type::undefined) || (b.flag(1, false) && !truthy(input));
  return use ? b.get(0, r.text("")) : input;
}

Value trim(Render& r, const Value& input, Args& args) {
  const Bound b(r, "trim", args, {"chars"});
  const Value v = input.is(Type::string) ? input : r.to_text(input);
  const std::string& s = v.text();
  if (!b.given(0)) return r.part(v, strip(s, true, true));
  const std::string_view chars = b.text(0, "");
  r.step(static_cast<int64_t>(chars.size() * s.size() >> 10));
  return r.part(v, strip_of(s, chars, true, true));
}

Value replace(Render& r, const Value& input, Args& args) {
  const Bound b(r, "replace", args, {"old", "new", "count"}, 2);
  Args inner;
  inner.positional = {r.to_text(b[0]), r.to_text(b[1]), b.given(2) ? b[2] : Value(-1)};
  bool known = false;
  return find_text_method("replace", known)(r, r.to_text(input), inner);
}

Value string_filter(Render& r, const Value& input, Args& args) {
  Bound(r, "string", args, {});
  return input.is(Type::string) ? input : r.to_text(input);
}

Value safe(Render& r, const Value& input, Args& args) {
  Bound(r, "safe", args, {});
  Marked out;
  append_text(r, out, input);
  return r.text(std::move(out), true);
}

Value escape_filter(Render& r, const Value& input, Args& args) {
  Bound(r, "escape", args, {});
  if (input.is(Type::string) && input.string().markup) return input;
  return r.text(escape_html(printed(r, input)), true);
}

Value force_escape(Render& r, const Value& input, Args& args) {
  Bound(r, "forceescape", args, {});
  return r.text(escape_html(printed(r, input)), true);
}

Value to_json(Render& r, const Value& input, Args& args) {
  const Bound b(r, "tojson", args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ascii = b.flag(0, false);
  style.sort_keys = b.flag(3, false);
  if (b.given(1)) {
    constexpr int64_t kMostIndent = 256;
    style.indented = true;
    style.item_separator = ",";
    const int64_t n = b[1].is(Type::string) ? 0 : std::max<int64_t>(b.whole(1, 0), 0);
    if (n > kMostIndent) r.fail("tojson: the indent is at most {}.", kMostIndent);
    style.indent = b[1].is(Type::string) ? b[1].text() : std::string(static_cast<size_t>(n), ' ');
    if (style.indent.size() > kMostIndent) r.fail("tojson: the indent is at most {}.", kMostIndent);
  }
  if (b.given(2)) {
    const std::vector<Value> pair = r.iterate(b[2]);
    if (pair.size() != 2 || !pair[0].is(Type::string) || !pair[1].is(Type::string)) {
      r.fail("tojson: separators are two texts.");
    }
    style.item_separator = pair[0].text();
    style.key_separator = pair[1].text();
  }
  std::string out;
  append_json(r, out, input, style);
  return r.text(std::move(out));
}

Value indent(Render& r, const Value& input, Args& args) {
  const Bound b(r, "indent", args, {"width", "first", "blank"});
  r.need_defined(input);
  if (!input.is(Type::string)) r.fail("indent needs a text, not a {}.", type_name(input));
  std::string by;
  if (b.has(0) && b[0].is(Type::string)) {
    by = b[0].text();
  } else {
    const int64_t width = std::max<int64_t>(b.whole(0, 4), 0);
    r.check_length(width);
    by.assign(static_cast<size_t>(width), ' ');
  }
  const bool blank = b.flag(2, false);
  const std::string source = input.text() + "\n";
  std::string out = b.flag(1, false) ? by : "";
  bool first = true;
  for (const std::string_view line : split_lines(source, false)) {
    if (!first) out += '\n';
    if (!first && (blank || !line.empty())) out += by;
    first = false;
    out += line;
    r.check_length(static_cast<int64_t>(out.size()));
  }
  return r.text(std::move(out));
}

Value truncate(Render& r, const Value& input, Args& args) {
  const Bound b(r, "truncate", args, {"length", "killwords", "end", "leeway"});
  if (!input.is(Type::string)) r.fail("truncate needs a text, not a {}.", type_name(input));
  const std::string_view end = b.text(2, "...");
  const int64_t length = b.whole(0, 255), leeway = b.given(3) ? b.whole(3, 5) : 5;
  const int64_t keep = length - code_points(end);
  if (keep < 0) r.fail("truncate: the length {} is less than that of the end.", length);
  if (leeway < 0) r.fail("truncate: the leeway is negative.");
  const Text& s = input.string();
  if (s.length <= length + leeway) return input;
  std::string_view head = std::string_view(s.text).substr(0, byte_of(s.text, keep));
  if (!b.flag(1, false)) head = head.substr(0, head.rfind(' '));
  return r.text(std::string(head) + std::string(end));
}

Value center(Render& r, const Value& input, Args& args) {
  const Bound b(r, "center", args, {"width"});
  Args inner;
  inner.positional = {Value(b.whole(0, 80))};
  bool known = false;
  return find_text_method("center", known)(r, r.to_text(input), inner);
}

Value word_count(Render& r, const Value& input, Args& args) {
  Bound(r, "wordcount", args, {});
  const std::string s = printed(r, input);
  int64_t n = 0;
  bool inside = false;
  for (size_t at = 0; at < s.size();) {
    const bool word = is_word(decode(s, at));
    n += word && !inside ? 1 : 0;
    inside = word;
  }
  return n;
}

Value format_filter(Render& r, const Value& input, Args& args) {
  if (!args.positional.empty() && !args.named.empty()) {
    r.fail("format takes positional or keyword arguments, not both.");
  }
  if (args.named.empty()) {
    return percent_format(r, r.to_text(input),
                          r.sequence(std::move(args.positional), Flavor::tuple));
  }
  auto d = std::make_shared<Dict>();
  for (const auto& [name, value] : args.named) r.put(*d, r.text(name), value);
  return percent_format(r, r.to_text(input), r.dict(std::move(d)));
}

void append_url(std::string& out, std::string_view s, bool query) {
  static constexpr std::string_view safe = ".-~";
  for (const char c : s) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = (byte < 0x80 && is_word(byte)) || safe.find(c) != safe.npos;
    if (plain || (c == '/' && !query)) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
}

Value url_encode(Render& r, const Value& input, Args& args) {
  Bound(r, "urlencode", args, {});
  std::string out;
  const bool pairs = input.is(Type::dict) || input.is(Type::sequence);
  if (!pairs) append_url(out, printed(r, input), false);
  std::vector<Value> items;
  if (input.is(Type::dict)) {
    for (const auto& [key, value] : input.dict().entries) {
      items.push_back(r.sequence({key, value}, Flavor::tuple));
    }
  } else if (pairs) {
    items = r.iterate(input);
  }
  for (const Value& item : items) {
    const std::vector<Value> pair = r.iterate(item);
    if (pair.size() != 2) r.fail("urlencode needs pairs.");
    if (!out.empty()) out += '&';
    append_url(out, printed(r, pair[0]), true);
    out += '=';
    append_url(out, printed(r, pair[1]), true);
  }
  return r.text(std::move(out));
}

const std::unordered_map<std::string_view, FilterFunction>& filters() {
  static const std::unordered_map<std::string_view, FilterFunction> filters = {
      {"upper", convert<upper>},
      {"lower", convert<lower>},
      {"capitalize", convert<capitalize>},
      {"title", convert<title_words>},
      {"default", default_filter},
      {"d", default_filter},
      {"trim", trim},
      {"replace", replace},
      {"string", string_filter},
      {"safe", safe},
      {"escape", escape_filter},
      {"e", escape_filter},
      {"forceescape", force_escape},
      {"tojson", to_json},
      {"indent", indent},
      {"truncate", truncate},
      {"center", center},
      {"wordcount", word_count},
      {"format", format_filter},
      {"urlencode", url_encode},
  };
  return filters;
}

}  // namespace

std::string escape_html(std::string_view s) {
  std::string out;
  for (const char c : s) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

FilterFunction find_filter(std::string_view name) {
  const auto found = filters().find(name);
  if (found != filters().end()) return found->second;
  const FilterFunction number = find_number_filter(name);
  return number != nullptr ? number : find_sequence_filter(name);
}

}  // namespace tarn::lm::jinja
