#include <algorithm>

#include "lm/chat_template/filters.h"

namespace tarn::lm::jinja {

Bound::Bound(Render& r, std::string_view function, Args& args,
             std::initializer_list<std::string_view> parameters, size_t required)
    : render_(r), function_(function) {
  std::copy(parameters.begin(), parameters.end(), names_.begin());
  values_.fill(Value::missing());
  if (args.positional.size() > parameters.size()) {
    r.fail("{} takes at most {} arguments, {} were given.", function, parameters.size(),
           args.positional.size());
  }
  std::move(args.positional.begin(), args.positional.end(), values_.begin());
  for (auto& [name, value] : args.named) {
    const auto at = static_cast<size_t>(std::find(parameters.begin(), parameters.end(), name) -
                                        parameters.begin());
    if (at == parameters.size()) r.fail("{} has no argument '{}'.", function, name);
    if (has(at)) r.fail("{}: the argument '{}' is given twice.", function, name);
    values_[at] = std::move(value);
  }
  for (size_t i = 0; i < required; ++i) {
    if (!has(i)) r.fail("{} needs the argument '{}'.", function, names_[i]);
  }
}

int64_t Bound::whole(size_t i, int64_t fallback) const {
  if (!has(i)) return fallback;
  render_.need_defined(values_[i]);
  if (!values_[i].is_whole()) {
    render_.fail("{}: '{}' is an integer, not a {}.", function_, names_[i], type_name(values_[i]));
  }
  return values_[i].whole();
}

std::string_view Bound::text(size_t i, std::string_view fallback) const {
  if (!has(i)) return fallback;
  render_.need_defined(values_[i]);
  if (!values_[i].is(Type::string)) {
    render_.fail("{}: '{}' is a text, not a {}.", function_, names_[i], type_name(values_[i]));
  }
  return values_[i].text();
}

Value attribute_path(Render& r, const Value& v, const Value& path, const Value& fallback) {
  if (path.is(Type::none) || path.is(Type::missing)) return v;
  const auto settle = [&](Value found) {
    return found.is(Type::undefined) && !fallback.is(Type::none) ? fallback : found;
  };
  if (!path.is(Type::string)) return settle(r.item(v, path));
  Value at = v;
  const std::string& names = path.text();
  for (size_t begin = 0; begin <= names.size();) {
    const size_t end = std::min(names.find('.', begin), names.size());
    const std::string part = names.substr(begin, end - begin);
    const bool number =
        !part.empty() && part.size() < 18 && part.find_first_not_of("0123456789") == part.npos;
    at = settle(r.item(at, number ? Value(int64_t{std::stoll(part)}) : r.text(part)));
    begin = end + 1;
  }
  return at;
}

Value call_filter(Render& r, std::string_view name, const Value& input, Args& args) {
  const FilterFunction f = find_filter(name);
  if (f == nullptr) r.fail("there is no filter '{}'.", name);
  r.step();
  return f(r, input, args);
}

bool call_test(Render& r, std::string_view name, const Value& input, Args& args) {
  const TestFunction f = find_test(name);
  if (f == nullptr) r.fail("there is no test '{}'.", name);
  r.step();
  return f(r, input, args);
}

}  // namespace tarn::lm::jinja
