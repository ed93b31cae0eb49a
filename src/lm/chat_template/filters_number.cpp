// Filters that read, round and print numbers.
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <unordered_map>

#include "lm/chat_template/filters.h"
#include "lm/chat_template/unicode.h"

namespace tarn::lm::jinja {
namespace {

// A number as Python's int(text, base) and float(text) read it: spaces around and single
// underscores inside are fine.
bool clean_number(std::string_view s, std::string& out) {
  s = strip(s, true, true);
  for (size_t i = 0; i < s.size(); ++i) {
    const auto alnum = [&](size_t k) {
      return k < s.size() && s[k] != '_' && is_word(static_cast<unsigned char>(s[k]));
    };
    if (s[i] != '_') {
      out += s[i];
    } else if (i == 0 || !alnum(i - 1) || !alnum(i + 1)) {
      return false;
    }
  }
  return !out.empty();
}

bool read_whole(Render& r, std::string_view s, int64_t base, int64_t& out) {
  std::string digits;
  if (base < 0 || base == 1 || base > 36 || !clean_number(s, digits)) return false;
  const bool negative = digits[0] == '-';
  if (negative || digits[0] == '+') digits.erase(0, 1);
  const char mark =
      digits.size() > 1 && digits[0] == '0' ? static_cast<char>(digits[1] | 32) : '\0';
  const int64_t marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
  if (marked != 0 && (base == marked || base == 0)) {
    digits.erase(0, 2);
    base = marked;
  } else if (base == 0) {
    base = 10;
  }
  uint64_t u = 0;
  const char* end = digits.data() + digits.size();
  const auto result = std::from_chars(digits.data(), end, u, static_cast<int>(base));
  if (result.ptr != end || digits.empty()) return false;
  if (result.ec != std::errc() || u > (uint64_t{1} << 63) - (negative ? 0 : 1)) {
    r.fail("int: '{}' does not fit 64 bits.", s);
  }
  out = static_cast<int64_t>(negative ? -u : u);
  return true;
}

bool read_real(std::string_view s, double& out) {
  std::string digits;
  if (!clean_number(s, digits)) return false;
  if (digits[0] == '+') digits.erase(0, 1);
  const std::string_view body = std::string_view(digits).substr(digits[0] == '-' ? 1 : 0);
  if (body.empty() || body[0] == '+' || body[0] == '-' || body.find_first_of("xX(") != body.npos) {
    return false;
  }
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  if (result.ptr != digits.data() + digits.size()) return false;
  if (result.ec == std::errc::result_out_of_range) out = std::strtod(digits.c_str(), nullptr);
  return result.ec != std::errc::invalid_argument;
}

Value int_filter(Render& r, const Value& input, Args& args) {
  const Bound b(r, "int", args, {"default", "base"});
  const Value fallback = b.get(0, Value(0));
  double d = input.is(Type::real) ? input.number() : NAN;
  r.need_defined(input);
  if (input.is_whole()) return input.whole();
  if (input.is(Type::string)) {
    int64_t i = 0;
    if (read_whole(r, input.text(), b.whole(1, 10), i)) return i;
    if (!read_real(input.text(), d)) return fallback;
    if (std::isinf(d)) return fallback;
  }
  if (std::isnan(d)) return fallback;
  if (!(std::abs(d) < 9.2e18)) r.fail("int: {} does not fit 64 bits.", d);
  return static_cast<int64_t>(d);
}

Value float_filter(Render& r, const Value& input, Args& args) {
  const Bound b(r, "float", args, {"default"});
  r.need_defined(input);
  if (input.is_number()) return input.number();
  double d = 0;
  if (input.is(Type::string) && read_real(input.text(), d)) return d;
  return b.get(0, Value(0.0));
}

Value absolute(Render& r, const Value& input, Args& args) {
  Bound(r, "abs", args, {});
  r.need_defined(input);
  if (input.is(Type::real)) return std::abs(input.number());
  if (!input.is_whole()) r.fail("abs needs a number, not a {}.", type_name(input));
  return input.whole() < 0 ? unary_operation(r, Operator::negative, input) : Value(input.whole());
}

// Half to even at the decimal place, from the exact value: as Python's round.
double round_at(double d, int64_t places) {
  if (!std::isfinite(d) || places > 400) return d;
  if (places < -400) return std::copysign(0.0, d);
  if (places >= 0) return std::strtod(fmt::format("{:.{}f}", d, places).c_str(), nullptr);
  const double unit = std::pow(10.0, static_cast<double>(-places));
  return std::nearbyint(d / unit) * unit;
}

Value round_filter(Render& r, const Value& input, Args& args) {
  const Bound b(r, "round", args, {"precision", "method"});
  const int64_t places = b.whole(0, 0);
  const std::string_view method = b.text(1, "common");
  r.need_defined(input);
  if (!input.is_number()) r.fail("round needs a number, not a {}.", type_name(input));
  if (method == "common") {
    if (input.is_whole() && places >= 0) return input.whole();
    const double d = round_at(input.number(), places);
    return input.is_whole() ? Value(static_cast<int64_t>(d)) : Value(d);
  }
  if (method != "ceil" && method != "floor") r.fail("round: the method is common, ceil or floor.");
  const double unit = std::pow(10.0, static_cast<double>(places)), scaled = input.number() * unit;
  if (!std::isfinite(scaled)) r.fail("round: {} cannot be rounded.", input.number());
  return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit;
}

Value file_size(Render& r, const Value& input, Args& args) {
  const Bound b(r, "filesizeformat", args, {"binary"});
  const bool binary = b.flag(0, false);
  double bytes = input.number();
  if (input.is(Type::string) ? !read_real(input.text(), bytes) : !input.is_number()) {
    r.fail("filesizeformat needs a number.");
  }
  const double base = binary ? 1024 : 1000;
  if (bytes == 1) return r.text("1 Byte");
  if (bytes < base) return r.text(fmt::format("{:.0f} Bytes", std::trunc(bytes)));
  static constexpr std::string_view letters = "kMGTPEZY";
  double unit = base;
  size_t i = 0;
  for (; i + 1 < letters.size() && bytes >= unit * base; ++i) unit *= base;
  const std::string letter(1, binary && i == 0 ? 'K' : letters[i]);
  return r.text(fmt::format("{:.1f} {}{}", bytes / unit, letter, binary ? "iB" : "B"));
}

}  // namespace

FilterFunction find_number_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, FilterFunction> filters = {
      {"int", int_filter},     {"float", float_filter},       {"abs", absolute},
      {"round", round_filter}, {"filesizeformat", file_size},
  };
  const auto found = filters.find(name);
  return found == filters.end() ? nullptr : found->second;
}

}  // namespace tarn::lm::jinja
