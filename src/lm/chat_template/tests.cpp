// The words that stand after `is`.
#include <unordered_map>

#include "lm/chat_template/filters.h"
#include "lm/chat_template/print.h"
#include "lm/chat_template/unicode.h"

namespace tarn::lm::jinja {
namespace {

using Predicate = bool (*)(const Value& v);

template <Predicate P>
bool plain(Render& r, const Value& input, Args& args) {
  Bound(r, "the test", args, {});
  return P(input);
}

bool is_defined(const Value& v) { return !v.is(Type::undefined); }
bool is_undefined(const Value& v) { return v.is(Type::undefined); }
bool is_none(const Value& v) { return v.is(Type::none); }
bool is_boolean(const Value& v) { return v.is(Type::boolean); }
bool is_true(const Value& v) { return v.is(Type::boolean) && v.whole() != 0; }
bool is_false(const Value& v) { return v.is(Type::boolean) && v.whole() == 0; }
bool is_integer(const Value& v) { return v.is(Type::integer); }
bool is_float(const Value& v) { return v.is(Type::real); }
bool is_number(const Value& v) { return v.is_number(); }
bool is_string(const Value& v) { return v.is(Type::string); }
bool is_mapping(const Value& v) { return v.is(Type::dict); }
bool is_escaped(const Value& v) { return v.is(Type::string) && v.string().markup; }

bool is_iterable(const Value& v) {
  return v.is(Type::string) || v.is(Type::sequence) || v.is(Type::dict) || v.is(Type::undefined) ||
         v.is(Type::loop);
}

bool is_sequence(const Value& v) {
  return v.is(Type::string) || v.is(Type::dict) || v.is(Type::undefined) ||
         (v.is(Type::sequence) && v.sequence().indexable());
}

bool is_callable(const Value& v) {
  return v.is(Type::function) || v.is(Type::macro) || v.is(Type::loop) || v.is(Type::joiner) ||
         v.is(Type::undefined);
}

template <Operator Op>
bool operation(Render& r, const Value& input, Args& args) {
  const Bound b(r, "the test", args, {"other"}, 1);
  return truthy(binary_operation(r, Op, input, b[0]));
}

bool is_same(Render& r, const Value& input, Args& args) {
  const Bound b(r, "sameas", args, {"other"}, 1);
  if (input.type() != b[0].type()) return false;
  const bool shared = input.identity() != nullptr;
  return shared ? input.identity() == b[0].identity() : same(r, input, b[0]);
}

int64_t remainder(Render& r, const Value& input, const Value& by) {
  const Value rest = binary_operation(r, Operator::mod, input, by);
  return rest.is_number() ? static_cast<int64_t>(rest.number() * 2) : -1;
}

bool is_odd(Render& r, const Value& input, Args& args) {
  Bound(r, "odd", args, {});
  return remainder(r, input, 2) == 2;
}

bool is_even(Render& r, const Value& input, Args& args) {
  Bound(r, "even", args, {});
  return equal(binary_operation(r, Operator::mod, input, 2), 0);
}

bool is_divisible(Render& r, const Value& input, Args& args) {
  const Bound b(r, "divisibleby", args, {"num"}, 1);
  return equal(binary_operation(r, Operator::mod, input, b[0]), 0);
}

template <bool Upper>
bool has_case(Render& r, const Value& input, Args& args) {
  Bound(r, "the test", args, {});
  bool known = false;
  Args none;
  return truthy(find_text_method(Upper ? "isupper" : "islower", known)(r, r.to_text(input), none));
}

bool is_filter(Render& r, const Value& input, Args& args) {
  Bound(r, "filter", args, {});
  return input.is(Type::string) && find_filter(input.text()) != nullptr;
}

bool is_test(Render& r, const Value& input, Args& args) {
  Bound(r, "test", args, {});
  return input.is(Type::string) && find_test(input.text()) != nullptr;
}

const std::unordered_map<std::string_view, TestFunction>& tests() {
  static const std::unordered_map<std::string_view, TestFunction> tests = {
      {"defined", plain<is_defined>},
      {"undefined", plain<is_undefined>},
      {"none", plain<is_none>},
      {"boolean", plain<is_boolean>},
      {"true", plain<is_true>},
      {"false", plain<is_false>},
      {"integer", plain<is_integer>},
      {"float", plain<is_float>},
      {"number", plain<is_number>},
      {"string", plain<is_string>},
      {"mapping", plain<is_mapping>},
      {"iterable", plain<is_iterable>},
      {"sequence", plain<is_sequence>},
      {"callable", plain<is_callable>},
      {"escaped", plain<is_escaped>},
      {"odd", is_odd},
      {"even", is_even},
      {"divisibleby", is_divisible},
      {"sameas", is_same},
      {"lower", has_case<false>},
      {"upper", has_case<true>},
      {"filter", is_filter},
      {"test", is_test},
      {"in", operation<Operator::in>},
      {"==", operation<Operator::eq>},
      {"eq", operation<Operator::eq>},
      {"equalto", operation<Operator::eq>},
      {"!=", operation<Operator::ne>},
      {"ne", operation<Operator::ne>},
      {"<", operation<Operator::lt>},
      {"lt", operation<Operator::lt>},
      {"lessthan", operation<Operator::lt>},
      {"<=", operation<Operator::le>},
      {"le", operation<Operator::le>},
      {">", operation<Operator::gt>},
      {"gt", operation<Operator::gt>},
      {"greaterthan", operation<Operator::gt>},
      {">=", operation<Operator::ge>},
      {"ge", operation<Operator::ge>},
  };
  return tests;
}

}  // namespace

TestFunction find_test(std::string_view name) {
  const auto found = tests().find(name);
  return found == tests().end() ? nullptr : found->second;
}

}  // namespace tarn::lm::jinja
