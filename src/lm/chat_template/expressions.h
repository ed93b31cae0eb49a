// The expressions of a program: nodes that know how to give their value.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lm/chat_template/value.h"

namespace tarn::lm::jinja {

class Render;
struct Args;

struct Expr {
  explicit Expr(int at_line) : line(at_line) {}
  virtual ~Expr() = default;
  virtual Value evaluate(Render& r) const = 0;
  int line = 0;
  int depth = 1;  // of the tree below, so that walking it has a bound
};
using ExprPtr = std::unique_ptr<const Expr>;

struct Constant final : Expr {
  Constant(int at_line, Value v) : Expr(at_line), value(std::move(v)) {}
  Value evaluate(Render& r) const override;
  Value value;
};

struct Name final : Expr {
  Name(int at_line, int slot) : Expr(at_line), id(slot) {}
  Value evaluate(Render& r) const override;
  int id = 0;
};

// (a, b) or [a, b]
struct Display final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
  Flavor flavor = Flavor::list;
  std::vector<ExprPtr> items;
};

struct DictDisplay final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
  std::vector<std::pair<ExprPtr, ExprPtr>> items;
};

struct Attribute final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
  ExprPtr object;
  Value name;
};

struct Item final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
  ExprPtr object, index;
};

struct Slice final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
  ExprPtr object, start, stop, step;
};

struct Arguments {
  std::vector<ExprPtr> positional;
  std::vector<std::pair<std::string, ExprPtr>> named;
  ExprPtr star, star_star;
};

struct Call final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
  // `caller` is the body of a {% call %} block, or missing.
  Value call(Render& r, const Value& caller) const;
  ExprPtr callee;
  Arguments arguments;
};

using FilterFunction = Value (*)(Render& r, const Value& input, Args& args);
using TestFunction = bool (*)(Render& r, const Value& input, Args& args);

struct FilterCall final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
  ExprPtr input;
  std::string name;
  FilterFunction function = nullptr;  // null for a name that is no filter: an error when reached
  Arguments arguments;
};

// The text of the block that a {% filter %} or {% set x | filter %} stands around.
struct Captured final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
};

struct TestCall final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
  ExprPtr input;
  std::string name;
  TestFunction function = nullptr;
  Arguments arguments;
};

enum class Operator : uint8_t {
  add,
  sub,
  mul,
  div,
  floor_div,
  mod,
  power,
  eq,
  ne,
  lt,
  le,
  gt,
  ge,
  in,
  not_in,
  logic_and,
  logic_or,
  negative,
  positive,
  logic_not,
};

struct Unary final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
  Operator op = Operator::negative;
  ExprPtr operand;
};

struct Binary final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
  Operator op = Operator::add;
  ExprPtr left, right;
};

// a < b < c
struct Comparison final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
  ExprPtr first;
  std::vector<std::pair<Operator, ExprPtr>> rest;
};

struct Concat final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
  std::vector<ExprPtr> parts;
};

struct Conditional final : Expr {
  using Expr::Expr;
  Value evaluate(Render& r) const override;
  ExprPtr test, then, otherwise;  // otherwise may be null
};

}  // namespace tarn::lm::jinja
