// Python's two ways to fill a format: "%s" % x and "{}".format(x).
#include <algorithm>
#include <cmath>

#include "lm/chat_template/filters.h"
#include "lm/chat_template/print.h"
#include "lm/chat_template/unicode.h"

namespace tarn::lm::jinja {
namespace {

constexpr int64_t kMostWidth = 1 << 20;
constexpr int64_t kMostPrecision = 400;

struct Spec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =
  char sign = '-';
  bool alternate = false;
  char grouping = '\0';
  int64_t width = 0;
  int64_t precision = -1;
  char kind = '\0';
};

std::string grouped(const std::string& digits, char separator, size_t every) {
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % every == 0) out += separator;
    out += digits[i];
  }
  return out;
}

std::string padded(const Spec& spec, char fallback, const std::string& prefix,
                   const std::string& body) {
  const int64_t missing = spec.width - code_points(prefix) - code_points(body);
  if (missing <= 0) return prefix + body;
  const char align = spec.align == '\0' ? fallback : spec.align;
  const int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string before, after;
  for (int64_t i = 0; i < left; ++i) before += spec.fill;
  for (int64_t i = left; i < missing; ++i) after += spec.fill;
  return align == '=' ? prefix + before + body : before + prefix + body + after;
}

std::string sign_of(const Spec& spec, bool negative) {
  if (negative) return "-";
  return spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
}

std::string real_body(Render& r, const Spec& spec, double d) {
  const int precision = spec.precision < 0 ? 6 : static_cast<int>(spec.precision);
  const bool upper_case = spec.kind == 'E' || spec.kind == 'F' || spec.kind == 'G';
  std::string body;
  switch (spec.kind) {
    case 'e':
    case 'E':
      body = fmt::format("{:.{}e}", d, precision);
      break;
    case 'f':
    case 'F':
    case '%':
      body = fmt::format("{:.{}f}", d, precision);
      break;
    case 'g':
    case 'G':
    case 'n':
      body = fmt::format("{:.{}g}", d, precision);
      break;
    case '\0':
      body = spec.precision < 0 ? real_text(d) : fmt::format("{:.{}g}", d, std::max(1, precision));
      if (spec.precision >= 0 && body.find_first_not_of("0123456789") == body.npos) body += ".0";
      break;
    default:
      r.fail("the format '{}' does not fit a float.", spec.kind);
  }
  if (spec.grouping != '\0') {
    const size_t point = std::min(body.find_first_not_of("0123456789"), body.size());
    body = grouped(body.substr(0, point), spec.grouping, 3) + body.substr(point);
  }
  return upper_case ? upper(body) : body;
}

std::string formatted_real(Render& r, const Spec& spec, double d) {
  const bool negative = std::signbit(d) && !std::isnan(d);
  std::string body = real_body(r, spec, std::abs(spec.kind == '%' ? d * 100 : d));
  if (spec.kind == '%') body += '%';
  return padded(spec, '>', sign_of(spec, negative), body);
}

std::string formatted_whole(Render& r, const Spec& spec, int64_t i) {
  const uint64_t u = i < 0 ? -static_cast<uint64_t>(i) : static_cast<uint64_t>(i);
  std::string prefix = sign_of(spec, i < 0), body;
  switch (spec.kind) {
    case '\0':
    case 'd':
    case 'n':
      body = std::to_string(u);
      break;
    case 'x':
      body = fmt::format("{:x}", u);
      break;
    case 'X':
      body = fmt::format("{:X}", u);
      break;
    case 'o':
      body = fmt::format("{:o}", u);
      break;
    case 'b':
      body = fmt::format("{:b}", u);
      break;
    case 'c':
      if (i < 0 || i > 0x10FFFF || (i >= 0xD800 && i < 0xE000)) r.fail("{} is no character.", i);
      append_utf8(body, static_cast<int32_t>(i));
      return padded(spec, '<', "", body);
    default:
      return formatted_real(r, spec, static_cast<double>(i));
  }
  if (spec.alternate && body != std::to_string(u)) prefix += std::string("0") + spec.kind;
  const bool decimal = spec.kind == '\0' || spec.kind == 'd';
  if (spec.grouping != '\0') body = grouped(body, spec.grouping, decimal ? 3 : 4);
  return padded(spec, '>', prefix, body);
}

std::string formatted_text(Render& r, const Spec& spec, std::string_view s) {
  if (spec.kind != '\0' && spec.kind != 's') {
    r.fail("the format '{}' does not fit a text.", spec.kind);
  }
  if (spec.precision >= 0) s = s.substr(0, byte_of(s, spec.precision));
  return padded(spec, '<', "", std::string(s));
}

int64_t digits(Render& r, std::string_view s, size_t& at, int64_t most) {
  int64_t n = -1;
  for (; at < s.size() && s[at] >= '0' && s[at] <= '9'; ++at) {
    n = std::max<int64_t>(n, 0) * 10 + (s[at] - '0');
    if (n > most) r.fail("a format asks for more than {} places.", most);
  }
  return n;
}

// [[fill]align][sign][#][0][width][grouping][.precision][type]
Spec parse_spec(Render& r, std::string_view s) {
  Spec spec;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!s.empty()) {
    size_t second = 0;
    decode(s, second);
    if (second < s.size() && is_align(s[second])) {
      spec.fill = std::string(s.substr(0, second));
      spec.align = s[second];
      at = second + 1;
    } else if (is_align(s[0])) {
      spec.align = s[0];
      at = 1;
    }
  }
  const auto next_is = [&](char c) { return at < s.size() && s[at] == c; };
  if (next_is('+') || next_is('-') || next_is(' ')) spec.sign = s[at++];
  if (next_is('#')) spec.alternate = ++at > 0;
  if (next_is('0')) {
    ++at;
    if (spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
  }
  spec.width = std::max<int64_t>(digits(r, s, at, kMostWidth), 0);
  if (next_is(',') || next_is('_')) spec.grouping = s[at++];
  if (next_is('.')) {
    ++at;
    spec.precision = digits(r, s, at, kMostPrecision);
    if (spec.precision < 0) r.fail("the format '{}' lacks its precision.", s);
  }
  if (at < s.size()) spec.kind = s[at++];
  if (at < s.size()) r.fail("the format '{}' is not understood.", s);
  return spec;
}

std::string formatted(Render& r, const Value& v, std::string_view spec_text) {
  if (spec_text.empty()) {
    std::string out;
    append_text(r, out, v);
    return out;
  }
  const Spec spec = parse_spec(r, spec_text);
  if (v.is(Type::real)) return formatted_real(r, spec, v.number());
  if (v.is(Type::integer)) return formatted_whole(r, spec, v.whole());
  if (v.is(Type::boolean)) {
    if (spec.kind != '\0') return formatted_whole(r, spec, v.whole());
    return formatted_text(r, spec, v.whole() != 0 ? "True" : "False");
  }
  if (!v.is(Type::string)) r.fail("a {} takes no format.", type_name(v));
  return formatted_text(r, spec, v.text());
}

class Braces {
 public:
  Braces(Render& r, std::string_view format, const Args& args) : r_(r), s_(format), args_(args) {}

  std::string fill(int level) {
    std::string out;
    while (at_ < s_.size()) {
      const char c = s_[at_];
      const bool doubled = at_ + 1 < s_.size() && s_[at_ + 1] == c;
      if (c == '}' && level > 0) break;
      if ((c == '{' || c == '}') && doubled && level == 0) {
        out += c;
        at_ += 2;
      } else if (c == '{') {
        out += field(level);
      } else if (c == '}') {
        r_.fail("format: a single '}}' stands alone.");
      } else {
        out += c;
        ++at_;
      }
      r_.check_length(static_cast<int64_t>(out.size()));
    }
    return out;
  }

 private:
  // {name.attribute[key]!conversion:spec}
  std::string field(int level) {
    if (level > 1) r_.fail("format: fields are nested too deeply.");
    r_.step();
    ++at_;
    const size_t end = std::min(s_.find_first_of("!:}", at_), s_.size());
    Value v = lookup(s_.substr(at_, end - at_));
    at_ = end;
    if (at_ < s_.size() && s_[at_] == '!') {
      const char conversion = at_ + 1 < s_.size() ? s_[at_ + 1] : '\0';
      if (conversion != 'r' && conversion != 's') r_.fail("format: '!{}' is unknown.", conversion);
      v = conversion == 'r' ? r_.text(repr_text(r_, v)) : r_.to_text(v);
      at_ += 2;
    }
    std::string spec;
    if (at_ < s_.size() && s_[at_] == ':') {
      ++at_;
      spec = fill(level + 1);
    }
    if (at_ >= s_.size() || s_[at_] != '}') r_.fail("format: a field lacks its '}}'.");
    ++at_;
    return formatted(r_, v, spec);
  }

  Value lookup(std::string_view path) {
    const size_t first = std::min(path.find_first_of(".["), path.size());
    Value v = argument(path.substr(0, first));
    for (size_t at = first; at < path.size();) {
      const bool bracket = path[at] == '[';
      const size_t end =
          bracket ? path.find(']', at) : std::min(path.find_first_of(".[", at + 1), path.size());
      if (end == path.npos) r_.fail("format: a field lacks its ']'.");
      const std::string_view name = path.substr(at + 1, end - at - 1);
      const int64_t index = bracket ? index_of(name) : -1;
      v = index >= 0 ? r_.item(v, index)
          : bracket  ? r_.item(v, r_.text(name))
                     : r_.attribute(v, r_.text(name));
      at = bracket ? end + 1 : end;
    }
    return v;
  }

  static int64_t index_of(std::string_view name) {
    if (name.empty() || name.size() > 9) return -1;
    int64_t n = 0;
    for (const char c : name) {
      if (c < '0' || c > '9') return -1;
      n = n * 10 + (c - '0');
    }
    return n;
  }

  Value argument(std::string_view name) {
    const int64_t index = name.empty() ? static_cast<int64_t>(next_++) : index_of(name);
    if (index >= 0) {
      if (index >= static_cast<int64_t>(args_.positional.size())) {
        r_.fail("format: there is no argument {}.", index);
      }
      return args_.positional[static_cast<size_t>(index)];
    }
    for (const auto& [key, value] : args_.named) {
      if (key == name) return value;
    }
    r_.fail("format: there is no argument '{}'.", name);
  }

  Render& r_;
  std::string_view s_;
  const Args& args_;
  size_t at_ = 0;
  size_t next_ = 0;
};

class Percents {
 public:
  Percents(Render& r, std::string_view format, const Value& arguments)
      : r_(r), s_(format), arguments_(arguments) {
    is_tuple_ = arguments.is(Type::sequence) && arguments.sequence().flavor == Flavor::tuple;
  }

  std::string fill() {
    std::string out;
    for (size_t at = 0; at < s_.size();) {
      if (s_[at] != '%') {
        out += s_[at++];
        continue;
      }
      at_ = at + 1;
      out += conversion();
      at = at_;
      r_.check_length(static_cast<int64_t>(out.size()));
    }
    const size_t given = is_tuple_ ? arguments_.sequence().items.size() : 1;
    if (used_ < given && !arguments_.is(Type::dict) && (is_tuple_ || !lenient())) {
      r_.fail("% format: not all arguments are used.");
    }
    return out;
  }

 private:
  // Python lets a lone list or namespace go unused, as it does a dict.
  bool lenient() const {
    if (arguments_.is(Type::undefined)) return true;
    return arguments_.is(Type::sequence) && arguments_.sequence().flavor != Flavor::tuple;
  }

  Value next() {
    if (is_tuple_ ? used_ >= arguments_.sequence().items.size() : used_ > 0) {
      r_.fail("% format: there are not enough arguments.");
    }
    const size_t i = used_++;
    return is_tuple_ ? arguments_.sequence().items[i] : arguments_;
  }

  int64_t star_or_digits(int64_t most) {
    if (at_ < s_.size() && s_[at_] == '*') {
      ++at_;
      const Value v = next();
      if (!v.is_whole() || v.whole() < 0 || v.whole() > most) {
        r_.fail("% format: a width is an integer up to {}.", most);
      }
      return v.whole();
    }
    return digits(r_, s_, at_, most);
  }

  std::string conversion() {
    r_.step();
    Value named = Value::missing();
    if (at_ < s_.size() && s_[at_] == '(') {
      const size_t end = s_.find(')', at_);
      if (end == s_.npos) r_.fail("% format: ')' is missing.");
      if (!arguments_.is(Type::dict)) r_.fail("% format: names need a dict.");
      const std::string_view name = s_.substr(at_ + 1, end - at_ - 1);
      const Value* found = arguments_.dict().find(name);
      if (found == nullptr) r_.fail("% format: there is no '{}'.", name);
      named = *found;
      at_ = end + 1;
    }
    Spec spec;
    spec.align = '>';
    for (; at_ < s_.size() && std::string_view("-+ #0").find(s_[at_]) != std::string_view::npos;
         ++at_) {
      const char c = s_[at_];
      if (c == '-') spec.align = '<';
      if (c == '+' || (c == ' ' && spec.sign != '+')) spec.sign = c;
      if (c == '#') spec.alternate = true;
      if (c == '0' && spec.align != '<') spec.align = '=';
    }
    spec.width = std::max<int64_t>(star_or_digits(kMostWidth), 0);
    if (at_ < s_.size() && s_[at_] == '.') {
      ++at_;
      spec.precision = std::max<int64_t>(star_or_digits(kMostPrecision), 0);
    }
    if (at_ >= s_.size()) r_.fail("% format: the format ends inside a conversion.");
    spec.kind = s_[at_++];
    if (spec.kind == '%') return "%";
    return converted(spec, named.is(Type::missing) ? next() : named);
  }

  std::string converted(Spec spec, const Value& v) {
    const char kind = spec.kind;
    const bool zero = spec.align == '=';
    if (kind == 's' || kind == 'r' || kind == 'a') {
      if (zero) spec.align = '>';
      spec.kind = 's';
      std::string s;
      kind == 's' ? append_text(r_, s, v) : append_repr(r_, s, v);
      return formatted_text(r_, spec, s);
    }
    if (zero) spec.fill = "0";
    if (kind == 'c' && v.is(Type::string) && v.string().length == 1) {
      spec.kind = 's';
      return formatted_text(r_, spec, v.text());
    }
    r_.need_defined(v);
    if (!v.is_number()) r_.fail("% format: '%{}' needs a number, not a {}.", kind, type_name(v));
    switch (kind) {
      case 'd':
      case 'i':
      case 'u': {
        spec.kind = 'd';
        const double d = v.number();
        if (v.is(Type::real) && !(std::abs(d) < 9.2e18)) r_.fail("% format: {} is no integer.", d);
        return with_precision(spec, v.is(Type::real) ? static_cast<int64_t>(d) : v.whole());
      }
      case 'x':
      case 'X':
      case 'o':
      case 'c':
        if (!v.is_whole()) r_.fail("% format: '%{}' needs an integer.", kind);
        return with_precision(spec, v.whole());
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return formatted_real(r_, spec, v.number());
      default:
        r_.fail("% format: '%{}' is unknown.", kind);
    }
  }

  // The precision of an integer is its least number of digits.
  std::string with_precision(const Spec& spec, int64_t i) {
    if (spec.precision < 0) return formatted_whole(r_, spec, i);
    Spec inner;
    inner.kind = spec.kind;
    inner.fill = "0";
    inner.align = '=';
    inner.width = spec.precision + (i < 0 ? 1 : 0);
    Spec outer = spec;
    outer.kind = 's';
    outer.precision = -1;
    if (outer.align == '=') outer.align = '>';
    return formatted_text(r_, outer, formatted_whole(r_, inner, i));
  }

  Render& r_;
  std::string_view s_;
  const Value& arguments_;
  bool is_tuple_ = false;
  size_t at_ = 0;
  size_t used_ = 0;
};

}  // namespace

Value brace_format(Render& r, std::string_view format, const Args& args) {
  return r.text(Braces(r, format, args).fill(0));
}

Value percent_format(Render& r, const Value& format, const Value& arguments) {
  return r.text(Percents(r, format.text(), arguments).fill());
}

}  // namespace tarn::lm::jinja
