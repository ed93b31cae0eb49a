// Template text to tokens: tags, whitespace control, literals.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tarn::lm::jinja {

enum class Token : unsigned char {
  data,
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  real,
  op,
  end,
};

struct Lexeme {
  Token token = Token::end;
  int line = 1;
  std::string text;  // of a string: unescaped; of a number: without underscores
  bool is(std::string_view op) const { return token == Token::op && text == op; }
  bool is_name(std::string_view name) const { return token == Token::name && text == name; }
};

// The last lexeme is Token::end. Throws ValueError.
std::vector<Lexeme> tokenize(std::string_view source, const std::string& name);

}  // namespace tarn::lm::jinja
