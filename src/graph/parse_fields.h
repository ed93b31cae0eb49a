// Parameters from their print: the inverse of detail::print_field.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "tarn/dtype.h"

namespace tarn::detail {

inline bool skip(std::string_view& text, std::string_view expected) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

template <class N>
bool parse_number(std::string_view& text, N& v) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  return true;
}

// "..." with \" and \\ inside.
bool parse_text(std::string_view& text, std::string& v);
std::string in_quotes(std::string_view text);
bool parse_dtype(std::string_view& text, Dtype& v);

// Reads `v` from the front of `text`. False when it is not there.
template <class T>
bool parse_field(std::string_view& text, T& v) {
  if constexpr (std::is_same_v<T, Dtype>) {
    return parse_dtype(text, v);
  } else if constexpr (std::is_same_v<T, std::string>) {
    return parse_text(text, v);
  } else if constexpr (std::is_same_v<T, bool>) {
    v = text.starts_with("true");
    return skip(text, v ? "true" : "false");
  } else if constexpr (std::is_enum_v<T>) {
    int number = 0;
    if (!parse_number(text, number)) return false;
    v = static_cast<T>(number);
    return static_cast<int>(v) == number;
  } else if constexpr (std::is_arithmetic_v<T>) {
    return parse_number(text, v);
  } else if constexpr (requires { v.push_back(*v.begin()); }) {
    v.clear();
    if (!skip(text, "(")) return false;
    while (!text.starts_with(")")) {
      if (!v.empty() && !skip(text, ", ")) return false;
      std::remove_cvref_t<decltype(*v.begin())> one{};
      if (!parse_field(text, one)) return false;
      v.push_back(one);
    }
    return skip(text, ")");
  } else {
    return false;  // a function
  }
}

class FieldParser {
 public:
  explicit FieldParser(std::string_view text) : text_(text) {}
  template <class T>
  void operator()(std::string_view name, T& v) {
    ok_ = ok_ && (first_ || skip(text_, ", ")) && skip(text_, name) && skip(text_, "=") &&
          parse_field(text_, v);
    first_ = false;
  }
  bool done() const { return ok_ && text_.empty(); }

 private:
  std::string_view text_;
  bool ok_ = true, first_ = true;
};

}  // namespace tarn::detail
