#include <algorithm>
#include <cmath>
#include <cstring>

#include "lm/chat_template/filters.h"
#include "lm/chat_template/render.h"

namespace tarn::lm::jinja {
namespace {

std::string_view symbol(Operator op) {
  static constexpr std::string_view symbols[] = {
      "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return symbols[static_cast<size_t>(op)];
}

[[noreturn]] void refuse(Render& r, Operator op, const Value& a, const Value& b) {
  r.fail("{} {} {} is not possible.", type_name(a), symbol(op), type_name(b));
}

[[noreturn]] void overflow(Render& r, Operator op, const Value& a, const Value& b) {
  r.fail("{} {} {} does not fit 64 bits.", a.whole(), symbol(op), b.whole());
}

int64_t floor_div(int64_t a, int64_t b) {
  const int64_t q = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? q - 1 : q;
}

Value whole_power(Render& r, const Value& a, const Value& b) {
  int64_t base = a.whole(), result = 1;
  for (int64_t n = b.whole(); n > 0; n >>= 1) {
    if ((n & 1) != 0 && __builtin_mul_overflow(result, base, &result)) {
      overflow(r, Operator::power, a, b);
    }
    if (n > 1 && __builtin_mul_overflow(base, base, &base)) overflow(r, Operator::power, a, b);
  }
  return result;
}

Value whole_arithmetic(Render& r, Operator op, const Value& x, const Value& y) {
  const int64_t a = x.whole(), b = y.whole();
  int64_t result = 0;
  bool bad = false;
  switch (op) {
    case Operator::add:
      bad = __builtin_add_overflow(a, b, &result);
      break;
    case Operator::sub:
      bad = __builtin_sub_overflow(a, b, &result);
      break;
    case Operator::mul:
      bad = __builtin_mul_overflow(a, b, &result);
      break;
    case Operator::div:
    case Operator::floor_div:
    case Operator::mod:
      if (b == 0) r.fail("{} {} 0: division by zero.", a, symbol(op));
      if (op == Operator::div) return static_cast<double>(a) / static_cast<double>(b);
      if (b == -1) {
        if (op == Operator::mod) return 0;
        bad = __builtin_sub_overflow(int64_t{0}, a, &result);
        break;
      }
      result = op == Operator::floor_div ? floor_div(a, b) : a - floor_div(a, b) * b;
      break;
    case Operator::power:
      if (b >= 0) return whole_power(r, x, y);
      if (a == 0) r.fail("0 cannot be raised to a negative power.");
      return std::pow(static_cast<double>(a), static_cast<double>(b));
    default:
      refuse(r, op, x, y);
  }
  if (bad) overflow(r, op, x, y);
  return result;
}

Value real_arithmetic(Render& r, Operator op, const Value& x, const Value& y) {
  const double a = x.number(), b = y.number();
  switch (op) {
    case Operator::add:
      return a + b;
    case Operator::sub:
      return a - b;
    case Operator::mul:
      return a * b;
    case Operator::div:
    case Operator::floor_div:
    case Operator::mod: {
      if (b == 0) r.fail("{} {} 0: division by zero.", a, symbol(op));
      if (op == Operator::div) return a / b;
      double rest = std::fmod(a, b);
      if (rest != 0 && (rest < 0) != (b < 0)) rest += b;
      if (op == Operator::mod) return rest == 0 ? std::copysign(0.0, b) : rest;
      const double quotient = (a - rest) / b;
      const double whole = std::floor(quotient);
      return quotient - whole > 0.5 ? whole + 1 : whole;
    }
    case Operator::power: {
      if (a == 0 && b < 0) r.fail("0 cannot be raised to a negative power.");
      const double result = std::pow(a, b);
      if (std::isnan(result) && !std::isnan(a) && !std::isnan(b)) refuse(r, op, x, y);
      if (std::isinf(result) && std::isfinite(a) && std::isfinite(b)) {
        r.fail("{} ** {} is too large.", a, b);
      }
      return result;
    }
    default:
      refuse(r, op, x, y);
  }
}

Value repeat(Render& r, const Value& v, int64_t times) {
  times = std::max<int64_t>(times, 0);
  const bool is_text = v.is(Type::string);
  const auto size = static_cast<int64_t>(is_text ? v.text().size() : v.sequence().items.size());
  int64_t total = 0;
  if (__builtin_mul_overflow(size, times, &total)) total = INT64_MAX / 64;
  if (is_text) {
    r.check_length(total);
    r.reserve(total);
    Marked s;
    s.text.reserve(static_cast<size_t>(total));
    for (int64_t i = 0; i < times && size > 0; ++i) s.append(v.string());
    return r.text(std::move(s), v.string().markup);
  }
  r.reserve(std::min<int64_t>(total, INT64_MAX / 64) * int64_t{sizeof(Value)});
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(total));
  const auto& from = v.sequence().items;
  for (int64_t i = 0; i < times && size > 0; ++i)
    items.insert(items.end(), from.begin(), from.end());
  return r.sequence(std::move(items), v.sequence().flavor);
}

bool is_plain_sequence(const Value& v) {
  return v.is(Type::sequence) && v.sequence().flavor <= Flavor::tuple;
}

Value join_texts(Render& r, const Value& a, const Value& b) {
  const bool markup = a.string().markup || b.string().markup;
  const std::string& plain = a.string().markup ? b.text() : a.text();
  if (markup && a.string().markup != b.string().markup && escape_html(plain) != plain) {
    return a.string().markup ? r.text(a.text() + escape_html(b.text()), true)
                             : r.text(escape_html(a.text()) + b.text(), true);
  }
  Marked joined;
  joined.text.reserve(a.text().size() + b.text().size());
  joined.append(a.string());
  joined.append(b.string());
  return r.text(std::move(joined), markup);
}

Value arithmetic(Render& r, Operator op, const Value& a, const Value& b) {
  if (a.is_whole() && b.is_whole()) return whole_arithmetic(r, op, a, b);
  if (a.is_number() && b.is_number()) return real_arithmetic(r, op, a, b);
  r.need_defined(a);
  if (op == Operator::mod && a.is(Type::string)) return percent_format(r, a, b);
  r.need_defined(b);
  if (op == Operator::add) {
    if (a.is(Type::string) && b.is(Type::string)) return join_texts(r, a, b);
    if (is_plain_sequence(a) && is_plain_sequence(b) &&
        a.sequence().flavor == b.sequence().flavor) {
      std::vector<Value> items = a.sequence().items;
      items.insert(items.end(), b.sequence().items.begin(), b.sequence().items.end());
      return r.sequence(std::move(items), a.sequence().flavor);
    }
  }
  if (op == Operator::mul) {
    const auto repeats = [](const Value& v) { return v.is(Type::string) || is_plain_sequence(v); };
    if (repeats(a) && b.is_whole()) return repeat(r, a, b.whole());
    if (repeats(b) && a.is_whole()) return repeat(r, b, a.whole());
  }
  refuse(r, op, a, b);
}

}  // namespace

bool same(Render& r, const Value& a, const Value& b) {
  r.step(std::min(weight(a), weight(b)) - 1);
  return equal(a, b);
}

bool less(Render& r, const Value& a, const Value& b) {
  r.step(std::min(weight(a), weight(b)) - 1);
  bool comparable = true;
  const int order = compare(a, b, comparable);
  if (!comparable) {
    r.need_defined(a);
    r.need_defined(b);
    refuse(r, Operator::lt, a, b);
  }
  return order == -1;
}

bool contains(Render& r, const Value& container, const Value& item) {
  switch (container.type()) {
    case Type::undefined:
      return false;
    case Type::string: {
      r.need_defined(item);
      if (!item.is(Type::string)) refuse(r, Operator::in, item, container);
      r.step(weight(container) + weight(item) - 1);
      const std::string &s = container.text(), &part = item.text();
      // glibc's search is linear also for texts made to make it slow.
      return memmem(s.data(), s.size(), part.data(), part.size()) != nullptr;
    }
    case Type::dict:
      r.need_key(item);
      return container.dict().find(item) != nullptr;
    case Type::sequence: {
      const auto& s = container.sequence();
      if (s.consumed) return false;
      for (const Value& v : s.items) {
        r.step(0);
        if (same(r, v, item)) return true;
      }
      r.step(static_cast<int64_t>(s.items.size() >> 3));
      return false;
    }
    default:
      r.fail("`in` needs a text, list or dict to search, not a {}.", type_name(container));
  }
}

Value unary_operation(Render& r, Operator op, const Value& v) {
  if (op == Operator::logic_not) return !truthy(v);
  r.need_defined(v);
  if (!v.is_number()) r.fail("a {} has no sign.", type_name(v));
  if (v.is(Type::real)) return op == Operator::negative ? -v.number() : v.number();
  if (op == Operator::positive) return v.whole();
  int64_t result = 0;
  if (__builtin_sub_overflow(int64_t{0}, v.whole(), &result))
    r.fail("-{} does not fit 64 bits.", v.whole());
  return result;
}

Value binary_operation(Render& r, Operator op, const Value& a, const Value& b) {
  switch (op) {
    case Operator::eq:
      return same(r, a, b);
    case Operator::ne:
      return !same(r, a, b);
    case Operator::in:
      return contains(r, b, a);
    case Operator::not_in:
      return !contains(r, b, a);
    case Operator::lt:
    case Operator::le:
    case Operator::gt:
    case Operator::ge: {
      r.step(std::min(weight(a), weight(b)) - 1);
      bool comparable = true;
      const int order = compare(a, b, comparable);
      if (!comparable) {
        r.need_defined(a);
        r.need_defined(b);
        refuse(r, op, a, b);
      }
      if (order == 2) return false;
      if (op == Operator::lt) return order < 0;
      if (op == Operator::le) return order <= 0;
      return op == Operator::gt ? order > 0 : order >= 0;
    }
    default:
      return arithmetic(r, op, a, b);
  }
}

}  // namespace tarn::lm::jinja
