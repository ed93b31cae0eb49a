
#include "lm/chat_template/filters.h"
#include "lm/chat_template/parser_impl.h"

namespace tarn::lm::jinja {

void Parser::grow(Expr& node, const Expr* child) const {
  if (child == nullptr) return;
  node.depth = std::max(node.depth, child->depth + 1);
  if (node.depth > kHeight) {
    fail_at(node.line, "this expression is more than {} operations tall.", kHeight);
  }
}

ExprPtr Parser::binary(int line, Operator op, ExprPtr left, ExprPtr right) {
  auto node = std::make_unique<Binary>(line);
  node->op = op;
  node->left = std::move(left);
  node->right = std::move(right);
  const Expr *l = node->left.get(), *r = node->right.get();
  return finish(std::move(node), {l, r});
}

bool Parser::tuple_ends() const {
  const Token t = current().token;
  return t == Token::variable_end || t == Token::block_end || at_op(")");
}

ExprPtr Parser::tuple(bool with_condition, bool in_parentheses) {
  auto node = std::make_unique<Display>(line());
  node->flavor = Flavor::tuple;
  bool is_tuple = false;
  for (;;) {
    if (!node->items.empty()) expect_op(",");
    if (tuple_ends()) break;
    node->items.push_back(with_condition ? expression() : parse_or());
    grow(*node, node->items.back().get());
    if (!at_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple) {
    if (!node->items.empty()) return std::move(node->items[0]);
    if (!in_parentheses) fail_at(line(), "an expression is missing here.");
  }
  return node;
}

ExprPtr Parser::expression() {
  const Level level(*this);
  ExprPtr value = parse_or();
  while (at_name("if")) {
    auto node = std::make_unique<Conditional>(line());
    take();
    node->then = std::move(value);
    node->test = parse_or();
    if (skip_name("else")) node->otherwise = expression();
    const Expr *a = node->then.get(), *b = node->test.get(), *c = node->otherwise.get();
    value = finish(std::move(node), {a, b, c});
  }
  return value;
}

ExprPtr Parser::parse_or() {
  ExprPtr left = parse_and();
  while (at_name("or")) {
    const int at = take().line;
    left = binary(at, Operator::logic_or, std::move(left), parse_and());
  }
  return left;
}

ExprPtr Parser::parse_and() {
  ExprPtr left = parse_not();
  while (at_name("and")) {
    const int at = take().line;
    left = binary(at, Operator::logic_and, std::move(left), parse_not());
  }
  return left;
}

ExprPtr Parser::parse_not() {
  if (!at_name("not")) return comparison();
  const Level level(*this);
  auto node = std::make_unique<Unary>(take().line);
  node->op = Operator::logic_not;
  node->operand = parse_not();
  const Expr* child = node->operand.get();
  return finish(std::move(node), {child});
}

ExprPtr Parser::comparison() {
  static constexpr std::pair<std::string_view, Operator> operators[] = {
      {"==", Operator::eq}, {"!=", Operator::ne}, {"<", Operator::lt},
      {"<=", Operator::le}, {">", Operator::gt},  {">=", Operator::ge}};
  ExprPtr first = sum();
  auto node = std::make_unique<Comparison>(line());
  for (;;) {
    const auto* found = std::find_if(std::begin(operators), std::end(operators),
                                     [&](const auto& entry) { return at_op(entry.first); });
    Operator op = Operator::in;
    if (found != std::end(operators)) {
      op = found->second;
    } else if (at_name("not") && ahead().is_name("in")) {
      take();
      op = Operator::not_in;
    } else if (!at_name("in")) {
      break;
    }
    take();
    node->rest.emplace_back(op, sum());
    grow(*node, node->rest.back().second.get());
  }
  if (node->rest.empty()) return first;
  node->first = std::move(first);
  const Expr* child = node->first.get();
  return finish(std::move(node), {child});
}

ExprPtr Parser::sum() {
  ExprPtr left = concat();
  while (at_op("+") || at_op("-")) {
    const Lexeme op = take();
    left = binary(op.line, op.is("+") ? Operator::add : Operator::sub, std::move(left), concat());
  }
  return left;
}

ExprPtr Parser::concat() {
  ExprPtr first = product();
  if (!at_op("~")) return first;
  auto node = std::make_unique<Concat>(line());
  grow(*node, first.get());
  node->parts.push_back(std::move(first));
  while (skip_op("~")) {
    node->parts.push_back(product());
    grow(*node, node->parts.back().get());
  }
  return node;
}

ExprPtr Parser::product() {
  static constexpr std::pair<std::string_view, Operator> operators[] = {{"*", Operator::mul},
                                                                        {"/", Operator::div},
                                                                        {"//", Operator::floor_div},
                                                                        {"%", Operator::mod}};
  ExprPtr left = power();
  for (;;) {
    const auto* found = std::find_if(std::begin(operators), std::end(operators),
                                     [&](const auto& entry) { return at_op(entry.first); });
    if (found == std::end(operators)) return left;
    const int at = take().line;
    left = binary(at, found->second, std::move(left), power());
  }
}

ExprPtr Parser::power() {
  ExprPtr left = unary(true);
  while (at_op("**")) {
    const int at = take().line;
    left = binary(at, Operator::power, std::move(left), unary(true));
  }
  return left;
}

ExprPtr Parser::unary(bool with_filter) {
  ExprPtr value;
  if (at_op("-") || at_op("+")) {
    const Level level(*this);
    const Lexeme sign = take();
    auto node = std::make_unique<Unary>(sign.line);
    node->op = sign.is("-") ? Operator::negative : Operator::positive;
    node->operand = unary(false);
    const Expr* child = node->operand.get();
    value = finish(std::move(node), {child});
  } else {
    value = primary();
  }
  value = postfix(std::move(value));
  return with_filter ? filters_and_tests(std::move(value)) : std::move(value);
}

ExprPtr Parser::postfix(ExprPtr node) {
  for (;;) {
    if (at_op(".") || at_op("[")) {
      node = subscript(std::move(node));
    } else if (at_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::filters_and_tests(ExprPtr node) {
  for (;;) {
    if (at_op("|")) {
      node = filter_chain(std::move(node));
    } else if (at_name("is")) {
      node = test(std::move(node));
    } else if (at_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::subscript(ExprPtr object) {
  if (at_op("[")) return bracketed(std::move(object));
  const int at = take().line;
  if (current().token == Token::integer) {
    auto node = std::make_unique<Item>(at);
    node->object = std::move(object);
    node->index = number();
    const Expr* child = node->object.get();
    return finish(std::move(node), {child});
  }
  if (current().token != Token::name) {
    fail_at(line(), "a name or number is missing after the dot, before {}.", describe(current()));
  }
  auto node = std::make_unique<Attribute>(at);
  node->object = std::move(object);
  node->name = constant_text(take().text);
  const Expr* child = node->object.get();
  return finish(std::move(node), {child});
}

ExprPtr Parser::bracketed(ExprPtr object) {
  const int at = take().line;
  ExprPtr first = at_op(":") ? nullptr : expression();
  if (at_op(":")) {
    auto node = std::make_unique<Slice>(at);
    node->object = std::move(object);
    node->start = std::move(first);
    take();
    if (!at_op(":") && !at_op("]")) node->stop = expression();
    if (skip_op(":") && !at_op("]")) node->step = expression();
    expect_op("]");
    const Expr *a = node->object.get(), *b = node->start.get(), *c = node->stop.get(),
               *d = node->step.get();
    return finish(std::move(node), {a, b, c, d});
  }
  auto node = std::make_unique<Item>(at);
  node->object = std::move(object);
  if (at_op(",")) {
    auto key = std::make_unique<Display>(at);
    key->flavor = Flavor::tuple;
    grow(*key, first.get());
    key->items.push_back(std::move(first));
    while (skip_op(",") && !at_op("]")) {
      key->items.push_back(expression());
      grow(*key, key->items.back().get());
    }
    first = std::move(key);
  }
  node->index = std::move(first);
  expect_op("]");
  const Expr *a = node->object.get(), *b = node->index.get();
  return finish(std::move(node), {a, b});
}

// Returns the height of the tallest argument.
int Parser::arguments(Arguments& out) {
  const Level level(*this);
  const int at = line();
  int height = 0;
  const auto one = [&] {
    ExprPtr value = expression();
    height = std::max(height, value->depth);
    return value;
  };
  expect_op("(");
  for (bool first = true; !at_op(")"); first = false) {
    if (!first) {
      expect_op(",");
      if (at_op(")")) break;
    }
    bool fits = out.star_star == nullptr;
    if (skip_op("*")) {
      fits = fits && out.star == nullptr;
      out.star = one();
    } else if (skip_op("**")) {
      out.star_star = one();
    } else if (current().token == Token::name && ahead().is("=")) {
      std::string name = take().text;
      take();
      out.named.emplace_back(std::move(name), one());
    } else {
      fits = fits && out.star == nullptr && out.named.empty();
      out.positional.push_back(one());
    }
    if (!fits) fail_at(at, "the arguments of this call are in a wrong order.");
  }
  expect_op(")");
  return height;
}

ExprPtr Parser::call(ExprPtr callee) {
  auto node = std::make_unique<Call>(line());
  node->callee = std::move(callee);
  node->depth = arguments(node->arguments) + 1;
  const Expr* child = node->callee.get();
  return finish(std::move(node), {child});
}

ExprPtr Parser::filter_chain(ExprPtr input) {
  while (skip_op("|")) input = filter(std::move(input));
  return input;
}

// The filter whose name comes next.
ExprPtr Parser::filter(ExprPtr input) {
  auto node = std::make_unique<FilterCall>(line());
  node->input = std::move(input);
  node->name = take_name();
  while (skip_op(".")) node->name += "." + take_name();
  node->function = find_filter(node->name);
  if (at_op("(")) node->depth = arguments(node->arguments) + 1;
  const Expr* child = node->input.get();
  return finish(std::move(node), {child});
}

ExprPtr Parser::test(ExprPtr input) {
  const Level level(*this);
  auto node = std::make_unique<TestCall>(take().line);
  const int at = node->line;
  node->input = std::move(input);
  const bool negated = skip_name("not");
  node->name = take_name();
  while (skip_op(".")) node->name += "." + take_name();
  node->function = find_test(node->name);
  const Token t = current().token;
  const bool argument = t == Token::name || t == Token::string || t == Token::integer ||
                        t == Token::real || at_op("[") || at_op("{");
  if (at_op("(")) {
    node->depth = arguments(node->arguments) + 1;
  } else if (argument && !at_name("else") && !at_name("or") && !at_name("and")) {
    if (at_name("is")) fail_at(line(), "tests cannot be chained with `is`.");
    node->arguments.positional.push_back(postfix(primary()));
    grow(*node, node->arguments.positional.back().get());
  }
  const Expr* child = node->input.get();
  ExprPtr result = finish(std::move(node), {child});
  if (!negated) return result;
  auto inverse = std::make_unique<Unary>(at);
  inverse->op = Operator::logic_not;
  inverse->operand = std::move(result);
  child = inverse->operand.get();
  return finish(std::move(inverse), {child});
}

}  // namespace tarn::lm::jinja
