#include "lm/chat_template/parser.h"
#include "lm/chat_template/parser_impl.h"

namespace tarn::lm::jinja {

std::string describe(const Lexeme& lexeme) {
  switch (lexeme.token) {
    case Token::data:
      return "text";
    case Token::variable_begin:
      return "'{{'";
    case Token::variable_end:
      return "'}}'";
    case Token::block_begin:
      return "'{%'";
    case Token::block_end:
      return "'%}'";
    case Token::end:
      return "the end of the template";
    default:
      return "'" + lexeme.text + "'";
  }
}

Parser::Parser(std::string_view source, const std::string& name)
    : lexemes_(tokenize(source, name)), program_(std::make_unique<Program>()) {
  program_->name = name;
  for (const char* reserved : {"caller", "varargs", "kwargs", "loop"}) slot(reserved);
}

Parser::Level::Level(Parser& parser) : parser_(parser) {
  if (parser_.level_ >= kNesting) {
    parser_.fail_at(parser_.line(), "blocks and expressions are nested more than {} deep.",
                    kNesting);
  }
  ++parser_.level_;
}

Lexeme Parser::take() { return at_ + 1 < lexemes_.size() ? lexemes_[at_++] : lexemes_[at_]; }

bool Parser::skip_op(std::string_view op) {
  if (!at_op(op)) return false;
  take();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  take();
  return true;
}

void Parser::expect_op(std::string_view op) {
  if (!skip_op(op)) fail_at(line(), "'{}' is missing before {}.", op, describe(current()));
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) fail_at(line(), "'{}' is missing before {}.", name, describe(current()));
}

void Parser::expect(Token token) {
  if (current().token != token) {
    fail_at(line(), "{} is missing before {}.", describe(Lexeme{token, 0, {}}),
            describe(current()));
  }
  take();
}

std::string Parser::take_name() {
  if (current().token != Token::name) {
    fail_at(line(), "a name is missing before {}.", describe(current()));
  }
  return take().text;
}

int Parser::slot(const std::string& name) {
  const auto [at, is_new] = slots_.emplace(name, static_cast<int>(program_->names.size()));
  if (is_new) program_->names.push_back(constant_text(name));
  return at->second;
}

int Parser::load(const std::string& name) {
  for (Signature* signature : signatures_) {
    signature->uses_caller |= name == "caller";
    signature->uses_varargs |= name == "varargs";
    signature->uses_kwargs |= name == "kwargs";
  }
  return slot(name);
}

std::unique_ptr<const Program> Parser::parse() {
  program_->body = body({});
  return std::move(program_);
}

// Statements up to one of the tags in `ends`, whose name is then the current token; an empty list
// means the end of the template.
Body Parser::body(std::initializer_list<std::string_view> ends) {
  const Level level(*this);
  Body out;
  for (;;) {
    switch (current().token) {
      case Token::data: {
        auto node = std::make_unique<Data>(line());
        node->text = take().text;
        out.push_back(std::move(node));
        break;
      }
      case Token::variable_begin: {
        auto node = std::make_unique<Print>(take().line);
        node->value = tuple(true, false);
        out.push_back(std::move(node));
        expect(Token::variable_end);
        break;
      }
      case Token::block_begin: {
        take();
        for (const std::string_view end : ends) {
          if (at_name(end)) return out;
        }
        if (at_name("print")) {
          parse_print(out);
        } else {
          out.push_back(statement());
        }
        expect(Token::block_end);
        break;
      }
      default:
        if (ends.size() == 0) return out;
        fail_at(line(), "the template ends where '{}' is still to come.", *(ends.end() - 1));
    }
  }
}

// After the head of a block tag.
void Parser::close_tag() {
  skip_op(":");
  expect(Token::block_end);
}

std::unique_ptr<const Statement> Parser::statement() {
  const Lexeme& tag = current();
  if (tag.token != Token::name)
    fail_at(tag.line, "a tag begins with its name, not {}.", describe(tag));
  if (tag.text == "if") return parse_if();
  if (tag.text == "for") return parse_for();
  if (tag.text == "set") return parse_set();
  if (tag.text == "macro") return parse_macro();
  if (tag.text == "call") return parse_call();
  if (tag.text == "filter") return parse_filter_block();
  if (tag.text == "with") return parse_with();
  if (tag.text == "generation") return parse_generation();
  if (tag.text == "break" || tag.text == "continue") return parse_jump();
  fail_at(tag.line, "the tag '{}' is unknown or does not belong here.", tag.text);
}

void Parser::parse_print(Body& out) {
  const int at = take().line;
  for (bool first = true; current().token != Token::block_end; first = false) {
    if (!first) expect_op(",");
    auto node = std::make_unique<Print>(at);
    node->value = expression();
    out.push_back(std::move(node));
  }
}

std::unique_ptr<const Statement> Parser::parse_if() {
  auto node = std::make_unique<If>(take().line);
  for (;;) {
    ExprPtr test = tuple(false, false);
    close_tag();
    node->branches.emplace_back(std::move(test), body({"elif", "else", "endif"}));
    if (skip_name("elif")) continue;
    if (skip_name("else")) {
      close_tag();
      node->branches.emplace_back(nullptr, body({"endif"}));
    }
    take();
    return node;
  }
}

std::unique_ptr<const Statement> Parser::parse_for() {
  auto node = std::make_unique<For>(take().line);
  node->target = target(false);
  if (node->target.id == kLoop) fail_at(node->line, "`loop` cannot be the target of a for.");
  expect_name("in");
  node->iterable = tuple(false, false);
  if (skip_name("if")) node->test = expression();
  node->recursive = skip_name("recursive");
  close_tag();
  ++loops_;
  node->body = body({"endfor", "else"});
  --loops_;
  if (take().text == "else") {
    close_tag();
    node->otherwise = body({"endfor"});
    take();
  }
  return node;
}

std::unique_ptr<const Statement> Parser::parse_set() {
  const int at = take().line;
  Target where = target(true);
  if (skip_op("=")) {
    auto node = std::make_unique<Set>(at);
    node->target = std::move(where);
    node->value = tuple(true, false);
    return node;
  }
  auto node = std::make_unique<SetBlock>(at);
  node->target = std::move(where);
  if (at_op("|")) node->filter = filter_chain(std::make_unique<Captured>(at));
  close_tag();
  node->body = body({"endset"});
  take();
  return node;
}

void Parser::parse_signature(Signature& signature) {
  expect_op("(");
  while (!at_op(")")) {
    if (!signature.parameters.empty()) expect_op(",");
    const int at = line();
    Parameter parameter;
    parameter.name = take_name();
    parameter.id = slot(parameter.name);
    const bool after_fallback =
        !signature.parameters.empty() && signature.parameters.back().fallback != nullptr;
    if (skip_op("=")) {
      parameter.fallback = expression();
    } else if (after_fallback) {
      fail_at(at, "the parameter '{}' needs a default as the one before it has.", parameter.name);
    }
    signature.parameters.push_back(std::move(parameter));
  }
  expect_op(")");
}

void Parser::parse_signature_body(Signature& signature, std::string_view end) {
  close_tag();
  const int outer = std::exchange(loops_, 0);
  signatures_.push_back(&signature);
  signature.body = body({end});
  signatures_.pop_back();
  loops_ = outer;
  take();
  for (const Parameter& parameter : signature.parameters) {
    if (parameter.id == kCaller) signature.uses_caller = false;
    if (parameter.id == kVarargs) signature.uses_varargs = false;
    if (parameter.id == kKwargs) signature.uses_kwargs = false;
  }
}

std::unique_ptr<const Statement> Parser::parse_macro() {
  auto node = std::make_unique<MacroStatement>(take().line);
  node->signature.name = take_name();
  node->id = slot(node->signature.name);
  parse_signature(node->signature);
  parse_signature_body(node->signature, "endmacro");
  return node;
}

std::unique_ptr<const Statement> Parser::parse_call() {
  auto node = std::make_unique<CallBlock>(take().line);
  node->signature.name = "caller";
  if (at_op("(")) parse_signature(node->signature);
  ExprPtr value = expression();
  if (dynamic_cast<const Call*>(value.get()) == nullptr) {
    fail_at(node->line, "a call block needs a call.");
  }
  node->call.reset(static_cast<const Call*>(value.release()));
  parse_signature_body(node->signature, "endcall");
  return node;
}

std::unique_ptr<const Statement> Parser::parse_filter_block() {
  auto node = std::make_unique<FilterBlock>(take().line);
  node->filter = filter_chain(filter(std::make_unique<Captured>(node->line)));
  close_tag();
  node->body = body({"endfilter"});
  take();
  return node;
}

std::unique_ptr<const Statement> Parser::parse_with() {
  auto node = std::make_unique<With>(take().line);
  while (current().token != Token::block_end) {
    if (!node->items.empty()) expect_op(",");
    Target where = primary_target(false);
    expect_op("=");
    node->items.emplace_back(std::move(where), expression());
  }
  close_tag();
  node->body = body({"endwith"});
  take();
  return node;
}

// {% generation %} marks what the assistant says; the marks leave no trace in the text.
std::unique_ptr<const Statement> Parser::parse_generation() {
  auto node = std::make_unique<With>(take().line);
  close_tag();
  node->body = body({"endgeneration"});
  take();
  return node;
}

std::unique_ptr<const Statement> Parser::parse_jump() {
  const Lexeme tag = take();
  if (loops_ == 0) fail_at(tag.line, "'{}' stands outside of a loop.", tag.text);
  return std::make_unique<Jump>(tag.line, tag.text == "break" ? Flow::leave : Flow::again);
}

Target Parser::target(bool with_attribute) {
  Target first = primary_target(with_attribute);
  if (!at_op(",")) return first;
  Target all;
  all.line = first.line;
  all.items.push_back(std::move(first));
  while (skip_op(",")) {
    if (current().token != Token::name && !at_op("(")) break;
    if (at_name("in")) break;
    all.items.push_back(primary_target(with_attribute));
  }
  return all;
}

Target Parser::primary_target(bool with_attribute) {
  const Level level(*this);
  Target where;
  where.line = line();
  if (skip_op("(")) {
    where = target(with_attribute);
    expect_op(")");
    return where;
  }
  const std::string name = take_name();
  for (const std::string_view constant : {"true", "false", "none", "True", "False", "None"}) {
    if (name == constant) fail_at(where.line, "'{}' cannot be assigned to.", name);
  }
  if (with_attribute && skip_op(".")) {
    where.id = load(name);
    where.attribute = constant_text(take_name());
  } else {
    where.id = slot(name);
  }
  return where;
}

std::unique_ptr<const Program> parse_program(std::string_view source, const std::string& name) {
  return Parser(source, name).parse();
}

}  // namespace tarn::lm::jinja
