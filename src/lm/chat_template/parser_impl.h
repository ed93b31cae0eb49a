// The parser's state; expressions and statements are in files of their own.
#pragma once

#include <algorithm>
#include <map>

#include "base/require.h"
#include "lm/chat_template/ast.h"
#include "lm/chat_template/lexer.h"

namespace tarn::lm::jinja {

// A token in the words of an error.
std::string describe(const Lexeme& lexeme);

class Parser {
 public:
  Parser(std::string_view source, const std::string& name);
  std::unique_ptr<const Program> parse();

 private:
  // Parentheses, blocks and operators inside each other. Each level takes about 2 KiB of stack.
  static constexpr int kNesting = 100;
  // The height of one expression tree: a + b + c + ... is a tall one.
  static constexpr int kHeight = 800;

  class Level {
   public:
    explicit Level(Parser& parser);
    ~Level() { --parser_.level_; }

   private:
    Parser& parser_;
  };

  template <class... T>
  [[noreturn]] void fail_at(int line, fmt::format_string<T...> text, T&&... args) const {
    fail("[chat_template] {}, line {}: {}", program_->name, line,
         fmt::format(text, std::forward<T>(args)...));
  }

  const Lexeme& current() const { return lexemes_[at_]; }
  const Lexeme& ahead() const { return lexemes_[std::min(at_ + 1, lexemes_.size() - 1)]; }
  int line() const { return current().line; }
  bool at_op(std::string_view op) const { return current().is(op); }
  bool at_name(std::string_view name) const { return current().is_name(name); }
  Lexeme take();
  bool skip_op(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_op(std::string_view op);
  void expect_name(std::string_view name);
  void expect(Token token);
  std::string take_name();
  int slot(const std::string& name);
  int load(const std::string& name);
  // Closes a node: its height is one more than its tallest child's.
  template <class Node>
  ExprPtr finish(std::unique_ptr<Node> node, std::initializer_list<const Expr*> children);
  void grow(Expr& node, const Expr* child) const;

  // statements
  Body body(std::initializer_list<std::string_view> ends);
  void close_tag();
  std::unique_ptr<const Statement> statement();
  std::unique_ptr<const Statement> parse_if();
  std::unique_ptr<const Statement> parse_for();
  std::unique_ptr<const Statement> parse_set();
  std::unique_ptr<const Statement> parse_macro();
  std::unique_ptr<const Statement> parse_call();
  std::unique_ptr<const Statement> parse_filter_block();
  std::unique_ptr<const Statement> parse_with();
  std::unique_ptr<const Statement> parse_generation();
  std::unique_ptr<const Statement> parse_jump();
  void parse_print(Body& out);
  void parse_signature(Signature& signature);
  void parse_signature_body(Signature& signature, std::string_view end);
  Target target(bool with_attribute);
  Target primary_target(bool with_attribute);

  // expressions
  bool tuple_ends() const;
  ExprPtr tuple(bool with_condition, bool in_parentheses);
  ExprPtr expression();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concat();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filter);
  ExprPtr primary();
  ExprPtr name_or_constant();
  ExprPtr number();
  ExprPtr list_display();
  ExprPtr dict_display();
  ExprPtr postfix(ExprPtr node);
  ExprPtr filters_and_tests(ExprPtr node);
  ExprPtr subscript(ExprPtr node);
  ExprPtr bracketed(ExprPtr node);
  ExprPtr call(ExprPtr node);
  ExprPtr filter(ExprPtr input);
  ExprPtr filter_chain(ExprPtr input);
  ExprPtr test(ExprPtr node);
  int arguments(Arguments& out);
  ExprPtr binary(int line, Operator op, ExprPtr left, ExprPtr right);

  std::vector<Lexeme> lexemes_;
  size_t at_ = 0;
  int level_ = 0;
  int loops_ = 0;  // around the current statement, in the same macro
  std::unique_ptr<Program> program_;
  std::map<std::string, int> slots_;
  std::vector<Signature*> signatures_;  // of the macros around the current place
};

template <class Node>
ExprPtr Parser::finish(std::unique_ptr<Node> node, std::initializer_list<const Expr*> children) {
  for (const Expr* child : children) grow(*node, child);
  return node;
}

}  // namespace tarn::lm::jinja
