// Methods of texts.
#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "lm/chat_template/filters.h"
#include "lm/chat_template/print.h"
#include "lm/chat_template/unicode.h"

namespace tarn::lm::jinja {
namespace {

using View = std::string_view;

size_t find_in(View s, View part, size_t from) {
  if (from > s.size()) return s.npos;
  if (part.empty()) return from;
  // glibc's search is linear also for texts made to make it slow.
  const void* found = memmem(s.data() + from, s.size() - from, part.data(), part.size());
  return found == nullptr ? s.npos
                          : static_cast<size_t>(static_cast<const char*>(found) - s.data());
}

// The last occurrence; its price is the product of the lengths at worst.
size_t find_last_in(Render& r, View s, View part) {
  r.step(static_cast<int64_t>((s.size() >> 6) * (1 + (part.size() >> 6))));
  return s.rfind(part);
}

// Parts of one text.
Value texts(Render& r, const Value& self, const std::vector<View>& parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const View part : parts) items.push_back(r.part(self, part));
  return r.sequence(std::move(items));
}

template <bool Left, bool Right>
Value strip_method(Render& r, const Value& self, Args& args) {
  const Bound b(r, "strip", args, {"chars"});
  if (!b.given(0)) return r.part(self, strip(self.text(), Left, Right));
  const View chars = b.text(0, "");
  r.step(static_cast<int64_t>(chars.size() * self.text().size() >> 10));
  return r.part(self, strip_of(self.text(), chars, Left, Right));
}

std::vector<View> split_spaces(View s, int64_t most, bool from_right) {
  std::vector<View> parts;
  // What stands on the far side of the last cut keeps its spaces.
  while (!(s = strip(s, !from_right, from_right)).empty()) {
    if (most-- == 0) {
      parts.push_back(s);
      break;
    }
    size_t begin = 0, end = 0;
    if (from_right) {
      begin = s.size();
      while (begin > 0) {
        size_t at = begin - 1;
        while (at > 0 && (static_cast<unsigned char>(s[at]) & 0xC0) == 0x80) --at;
        if (space_at(s, at) > 0) break;
        begin = at;
      }
      parts.push_back(s.substr(begin));
      s = s.substr(0, begin);
      continue;
    }
    while (end < s.size() && space_at(s, end) == 0) decode(s, end);
    parts.push_back(s.substr(0, end));
    s = s.substr(end);
  }
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool FromRight>
Value split_method(Render& r, const Value& self, Args& args) {
  const Bound b(r, FromRight ? "rsplit" : "split", args, {"sep", "maxsplit"});
  View s = self.text();
  int64_t most = b.whole(1, -1);
  r.step(weight(self));
  if (!b.given(0)) return texts(r, self, split_spaces(s, most, FromRight));
  const View separator = b.text(0, "");
  if (separator.empty()) r.fail("split: the separator is empty.");
  std::vector<View> parts;
  r.reserve(static_cast<int64_t>(s.size() / separator.size()) * 16);
  for (; most != 0; --most) {
    const size_t at = FromRight ? s.rfind(separator) : find_in(s, separator, 0);
    if (at == s.npos) break;
    if (FromRight) {
      parts.push_back(s.substr(at + separator.size()));
      s = s.substr(0, at);
    } else {
      parts.push_back(s.substr(0, at));
      s = s.substr(at + separator.size());
    }
  }
  parts.push_back(s);
  if (FromRight) std::reverse(parts.begin(), parts.end());
  return texts(r, self, parts);
}

Value split_lines_method(Render& r, const Value& self, Args& args) {
  const Bound b(r, "splitlines", args, {"keepends"});
  return texts(r, self, split_lines(self.text(), b.flag(0, false)));
}

// [start, stop) in code points, cut out of the text.
struct Window {
  View text;
  size_t begin = 0;  // byte of the cut
  int64_t start = 0;
  bool valid = true;  // start may lie behind the end
  Window(const Value& self, const Bound& b, size_t from) {
    const Text& s = self.string();
    const auto bound = [&](size_t i, int64_t fallback) {
      int64_t v = b.given(i) ? b.whole(i, fallback) : fallback;
      if (v < 0) v = std::max<int64_t>(v + s.length, 0);
      return v;
    };
    start = bound(from, 0);
    const int64_t stop = std::min(bound(from + 1, s.length), s.length);
    valid = start <= stop;
    if (!valid) return;
    begin = s.ascii() ? static_cast<size_t>(start) : byte_of(s.text, start);
    const size_t end = s.ascii() ? static_cast<size_t>(stop) : byte_of(s.text, stop);
    text = View(s.text).substr(begin, end - begin);
  }
};

template <bool Last>
int64_t search(Render& r, const Value& self, Args& args) {
  const Bound b(r, Last ? "rfind" : "find", args, {"sub", "start", "end"}, 1);
  const View part = b.text(0, "");
  const Window w(self, b, 1);
  r.step(weight(self));
  if (!w.valid) return -1;
  const size_t at = Last ? find_last_in(r, w.text, part) : find_in(w.text, part, 0);
  return at == View::npos ? -1 : w.start + code_points(w.text.substr(0, at));
}

template <bool Last>
Value find_method_of_text(Render& r, const Value& self, Args& args) {
  return search<Last>(r, self, args);
}

template <bool Last>
Value index_method(Render& r, const Value& self, Args& args) {
  const int64_t at = search<Last>(r, self, args);
  if (at < 0) r.fail("index: the text does not hold the part.");
  return at;
}

Value count_method(Render& r, const Value& self, Args& args) {
  const Bound b(r, "count", args, {"sub", "start", "end"}, 1);
  const View part = b.text(0, "");
  const Window w(self, b, 1);
  r.step(weight(self));
  if (!w.valid) return 0;
  if (part.empty()) return code_points(w.text) + 1;
  int64_t n = 0;
  for (size_t at = find_in(w.text, part, 0); at != View::npos;
       at = find_in(w.text, part, at + part.size())) {
    ++n;
  }
  return n;
}

template <bool AtEnd>
Value edge_method(Render& r, const Value& self, Args& args) {
  const Bound b(r, AtEnd ? "endswith" : "startswith", args, {"part", "start", "end"}, 1);
  const Window w(self, b, 1);
  const auto fits = [&](const Value& part) {
    r.need_defined(part);
    if (!part.is(Type::string)) r.fail("startswith and endswith need a text or a tuple of texts.");
    const View p = part.text();
    if (!w.valid || p.size() > w.text.size()) return false;
    return w.text.substr(AtEnd ? w.text.size() - p.size() : 0, p.size()) == p;
  };
  if (!b[0].is(Type::sequence) || b[0].sequence().flavor != Flavor::tuple) return fits(b[0]);
  const auto& parts = b[0].sequence().items;
  r.step(weight(b[0]));
  return std::any_of(parts.begin(), parts.end(), fits);
}

Value replace_method(Render& r, const Value& self, Args& args) {
  const Bound b(r, "replace", args, {"old", "new", "count"}, 2);
  const View s = self.text(), from = b.text(0, "");
  b.text(1, "");  // a text, or an error
  int64_t most = b.whole(2, -1);
  const Text& source = self.string();
  r.step(weight(self));
  Marked out;
  size_t at = 0;
  while (most != 0 && at <= s.size()) {
    const size_t found = find_in(s, from, at);
    if (found == s.npos) break;
    --most;
    out.append(source, s.substr(at, found - at));
    if (b.has(1)) out.append(b[1].string());
    at = found + from.size();
    if (from.empty()) {
      if (at == s.size()) return r.text(std::move(out));
      decode(s, at);
      out.append(source, s.substr(found, at - found));
    }
    r.check_length(static_cast<int64_t>(out.text.size()));
  }
  out.append(source, s.substr(std::min(at, s.size())));
  return r.text(std::move(out));
}

template <std::string (*Convert)(View)>
Value case_method(Render& r, const Value& self, Args& args) {
  Bound(r, "the method", args, {});
  r.step(weight(self));
  return r.text(Convert(self.text()));
}

Value join_method(Render& r, const Value& self, Args& args) {
  const Bound b(r, "join", args, {"items"}, 1);
  Marked out;
  bool first = true;
  for (const Value& v : r.iterate(b[0])) {
    r.need_defined(v);
    if (!v.is(Type::string)) r.fail("join: an item is a {}, not a text.", type_name(v));
    if (!std::exchange(first, false)) out.append(self.string());
    out.append(v.string());
    r.check_length(static_cast<int64_t>(out.text.size()));
  }
  return r.text(std::move(out));
}

Value format_method(Render& r, const Value& self, Args& args) {
  return brace_format(r, self.text(), args);
}

template <bool (*Accept)(int32_t)>
Value all_method(Render& r, const Value& self, Args& args) {
  Bound(r, "the method", args, {});
  r.step(weight(self));
  const View s = self.text();
  bool all = !s.empty();
  for (size_t at = 0; all && at < s.size();) all = Accept(decode(s, at));
  return all;
}

bool is_alnum(int32_t c) { return is_word(c) && c != '_'; }
bool is_ascii(int32_t c) { return c < 0x80; }

// Some letters have case, and all that do have this one.
template <bool (*Wanted)(int32_t), bool (*Other)(int32_t)>
Value one_case_method(Render& r, const Value& self, Args& args) {
  Bound(r, "the method", args, {});
  r.step(weight(self));
  const View s = self.text();
  bool any = false;
  for (size_t at = 0; at < s.size();) {
    const int32_t c = decode(s, at);
    if (Other(c)) return false;
    any |= Wanted(c);
  }
  return any;
}

template <bool Last>
Value partition_method(Render& r, const Value& self, Args& args) {
  const Bound b(r, "partition", args, {"sep"}, 1);
  const View s = self.text(), separator = b.text(0, "");
  if (separator.empty()) r.fail("partition: the separator is empty.");
  const size_t at = Last ? find_last_in(r, s, separator) : find_in(s, separator, 0);
  if (at == s.npos) {
    return Last ? r.sequence({r.text(""), r.text(""), self}, Flavor::tuple)
                : r.sequence({self, r.text(""), r.text("")}, Flavor::tuple);
  }
  return r.sequence({r.part(self, s.substr(0, at)), r.part(self, s.substr(at, separator.size())),
                     r.part(self, s.substr(at + separator.size()))},
                    Flavor::tuple);
}

template <bool AtEnd>
Value remove_method(Render& r, const Value& self, Args& args) {
  const Bound b(r, "removeprefix", args, {"part"}, 1);
  View s = self.text();
  const View part = b.text(0, "");
  if (part.size() <= s.size() &&
      s.substr(AtEnd ? s.size() - part.size() : 0, part.size()) == part) {
    s = AtEnd ? s.substr(0, s.size() - part.size()) : s.substr(part.size());
  }
  return r.part(self, s);
}

std::string fill(Render& r, View unit, int64_t times) {
  if (times <= 0) return {};
  r.check_length(times > (INT64_C(1) << 40) ? times : times * static_cast<int64_t>(unit.size()));
  std::string out;
  for (int64_t i = 0; i < times; ++i) out += unit;
  return out;
}

enum class Side { left, center, right };

template <Side S>
Value pad_method(Render& r, const Value& self, Args& args) {
  const Bound b(r, "ljust, center and rjust", args, {"width", "fillchar"}, 1);
  const View unit = b.text(1, " ");
  if (code_points(unit) != 1) r.fail("the fill must be one character.");
  const int64_t width = b.whole(0, 0), missing = width - self.string().length;
  if (missing <= 0) return r.text(self.text());
  const int64_t left = S == Side::left    ? 0
                       : S == Side::right ? missing
                                          : missing / 2 + (missing & width & 1);
  return r.text(fill(r, unit, left) + self.text() + fill(r, unit, missing - left));
}

Value zero_fill_method(Render& r, const Value& self, Args& args) {
  const Bound b(r, "zfill", args, {"width"}, 1);
  const std::string& s = self.text();
  const size_t sign = !s.empty() && (s[0] == '-' || s[0] == '+') ? 1 : 0;
  return r.text(s.substr(0, sign) + fill(r, "0", b.whole(0, 0) - self.string().length) +
                s.substr(sign));
}

Value expand_tabs_method(Render& r, const Value& self, Args& args) {
  const Bound b(r, "expandtabs", args, {"tabsize"});
  const int64_t size = b.whole(0, 8);
  std::string out;
  int64_t column = 0;
  for (const char c : self.text()) {
    if (c == '\t') {
      const std::string gap = size > 0 ? fill(r, " ", size - column % size) : "";
      out += gap;
      column += static_cast<int64_t>(gap.size());
      r.check_length(static_cast<int64_t>(out.size()));
      continue;
    }
    out += c;
    const bool continues = (static_cast<unsigned char>(c) & 0xC0) == 0x80;
    column = c == '\n' || c == '\r' ? 0 : column + (continues ? 0 : 1);
  }
  return r.text(std::move(out));
}

const std::unordered_map<View, NativeFunction>& text_methods() {
  static const std::unordered_map<View, NativeFunction> methods = {
      {"strip", strip_method<true, true>},
      {"lstrip", strip_method<true, false>},
      {"rstrip", strip_method<false, true>},
      {"split", split_method<false>},
      {"rsplit", split_method<true>},
      {"splitlines", split_lines_method},
      {"find", find_method_of_text<false>},
      {"rfind", find_method_of_text<true>},
      {"index", index_method<false>},
      {"rindex", index_method<true>},
      {"count", count_method},
      {"startswith", edge_method<false>},
      {"endswith", edge_method<true>},
      {"replace", replace_method},
      {"upper", case_method<upper>},
      {"lower", case_method<lower>},
      {"casefold", case_method<lower>},
      {"title", case_method<title>},
      {"capitalize", case_method<capitalize>},
      {"swapcase", case_method<swap_case>},
      {"join", join_method},
      {"format", format_method},
      {"isspace", all_method<is_space>},
      {"isalpha", all_method<is_alpha>},
      {"isdigit", all_method<is_digit>},
      {"isdecimal", all_method<is_digit>},
      {"isnumeric", all_method<is_digit>},
      {"isalnum", all_method<is_alnum>},
      {"isascii", all_method<is_ascii>},
      {"isupper", one_case_method<is_upper, is_lower>},
      {"islower", one_case_method<is_lower, is_upper>},
      {"partition", partition_method<false>},
      {"rpartition", partition_method<true>},
      {"removeprefix", remove_method<false>},
      {"removesuffix", remove_method<true>},
      {"ljust", pad_method<Side::left>},
      {"center", pad_method<Side::center>},
      {"rjust", pad_method<Side::right>},
      {"zfill", zero_fill_method},
      {"expandtabs", expand_tabs_method},
  };
  return methods;
}

}  // namespace

NativeFunction find_text_method(std::string_view name, bool& known) {
  const auto found = text_methods().find(name);
  if (found == text_methods().end()) return nullptr;
  known = true;
  return found->second;
}

}  // namespace tarn::lm::jinja
