// The names that stand after `|` and `is`, and the methods and arguments they share.
#pragma once

#include <array>
#include <string_view>

#include "lm/chat_template/render.h"

namespace tarn::lm::jinja {

FilterFunction find_filter(std::string_view name);
TestFunction find_test(std::string_view name);

// filters_number.cpp and filters_sequence.cpp
FilterFunction find_number_filter(std::string_view name);
FilterFunction find_sequence_filter(std::string_view name);

// The method `name` of a value of this kind. `known` turns true when Python has an attribute of
// that name, also when the sandbox refuses it (a null function then).
NativeFunction find_method(const Value& self, std::string_view name, bool& known);
NativeFunction find_text_method(std::string_view name, bool& known);

// Parameters by position or name, as Python binds them. An absent one is missing.
class Bound {
 public:
  static constexpr size_t kMost = 6;
  Bound(Render& r, std::string_view function, Args& args,
        std::initializer_list<std::string_view> parameters, size_t required = 0);
  bool has(size_t i) const { return !values_[i].is(Type::missing); }
  const Value& operator[](size_t i) const { return values_[i]; }
  Value get(size_t i, Value fallback) const { return has(i) ? values_[i] : fallback; }
  bool flag(size_t i, bool fallback) const { return has(i) ? truthy(values_[i]) : fallback; }
  int64_t whole(size_t i, int64_t fallback) const;
  std::string_view text(size_t i, std::string_view fallback) const;  // a string only
  bool given(size_t i) const { return has(i) && !values_[i].is(Type::none); }

 private:
  Render& render_;
  std::string_view function_;
  std::array<std::string_view, kMost> names_{};
  std::array<Value, kMost> values_;
};

Value call_filter(Render& r, std::string_view name, const Value& input, Args& args);
bool call_test(Render& r, std::string_view name, const Value& input, Args& args);

// "a.b.0" looked up step by step; none stands for the value itself.
Value attribute_path(Render& r, const Value& v, const Value& path, const Value& fallback);

// Python's printf and str.format.
Value percent_format(Render& r, const Value& format, const Value& arguments);
Value brace_format(Render& r, std::string_view format, const Args& args);
std::string escape_html(std::string_view s);

}  // namespace tarn::lm::jinja
