// Names, literals, lists and dicts.
#include <charconv>
#include <cmath>

#include "lm/chat_template/parser_impl.h"

namespace tarn::lm::jinja {

ExprPtr Parser::primary() {
  switch (current().token) {
    case Token::name:
      return name_or_constant();
    case Token::integer:
    case Token::real:
      return number();
    case Token::string: {
      const int at = line();
      std::string text;
      while (current().token == Token::string) text += take().text;
      return std::make_unique<Constant>(at, constant_text(std::move(text)));
    }
    default:
      break;
  }
  if (at_op("[")) return list_display();
  if (at_op("{")) return dict_display();
  if (!skip_op("(")) {
    fail_at(line(), "an expression is missing before {}.", describe(current()));
  }
  ExprPtr value = tuple(true, true);
  expect_op(")");
  return value;
}

ExprPtr Parser::name_or_constant() {
  const Lexeme name = take();
  const auto is = [&](std::string_view a, std::string_view b) {
    return name.text == a || name.text == b;
  };
  if (is("true", "True")) return std::make_unique<Constant>(name.line, Value(true));
  if (is("false", "False")) return std::make_unique<Constant>(name.line, Value(false));
  if (is("none", "None")) return std::make_unique<Constant>(name.line, Value());
  return std::make_unique<Name>(name.line, load(name.text));
}

ExprPtr Parser::number() {
  const Lexeme n = take();
  const char* end = n.text.data() + n.text.size();
  if (n.token == Token::real) {
    double d = 0;
    const auto result = std::from_chars(n.text.data(), end, d);
    if (result.ec == std::errc::result_out_of_range)
      d = n.text.find('-') == n.text.npos ? HUGE_VAL : 0.0;
    return std::make_unique<Constant>(n.line, Value(d));
  }
  const char kind = n.text.size() > 2 ? static_cast<char>(n.text[1] | 32) : '0';
  const int base = kind == 'x' ? 16 : kind == 'b' ? 2 : kind == 'o' ? 8 : 10;
  int64_t i = 0;
  const auto result = std::from_chars(n.text.data() + (base == 10 ? 0 : 2), end, i, base);
  if (result.ec != std::errc()) fail_at(n.line, "the number {} does not fit 64 bits.", n.text);
  return std::make_unique<Constant>(n.line, Value(i));
}

ExprPtr Parser::list_display() {
  auto node = std::make_unique<Display>(take().line);
  while (!at_op("]")) {
    if (!node->items.empty()) {
      expect_op(",");
      if (at_op("]")) break;
    }
    node->items.push_back(expression());
    grow(*node, node->items.back().get());
  }
  expect_op("]");
  return node;
}

ExprPtr Parser::dict_display() {
  auto node = std::make_unique<DictDisplay>(take().line);
  while (!at_op("}")) {
    if (!node->items.empty()) {
      expect_op(",");
      if (at_op("}")) break;
    }
    ExprPtr key = expression();
    expect_op(":");
    grow(*node, key.get());
    node->items.emplace_back(std::move(key), expression());
    grow(*node, node->items.back().second.get());
  }
  expect_op("}");
  return node;
}

}  // namespace tarn::lm::jinja
