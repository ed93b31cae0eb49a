// The program that a template's text becomes: a tree whose nodes know how to run.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lm/chat_template/expressions.h"

namespace tarn::lm::jinja {

class Output;

enum class Flow : uint8_t { next, leave, again };

struct Statement {
  explicit Statement(int at_line) : line(at_line) {}
  virtual ~Statement() = default;
  virtual Flow execute(Render& r, Output& out) const = 0;
  int line = 0;
};
using Body = std::vector<std::unique_ptr<const Statement>>;

// Where an assignment goes: a name, ns.attribute, or a tuple of targets.
struct Target {
  int line = 0;
  int id = -1;
  Value attribute;  // none for a plain name
  std::vector<Target> items;
};

struct Data final : Statement {
  using Statement::Statement;
  Flow execute(Render& r, Output& out) const override;
  std::string text;
};

struct Print final : Statement {
  using Statement::Statement;
  Flow execute(Render& r, Output& out) const override;
  ExprPtr value;
};

struct If final : Statement {
  using Statement::Statement;
  Flow execute(Render& r, Output& out) const override;
  std::vector<std::pair<ExprPtr, Body>> branches;  // the test is null for else
};

struct For final : Statement {
  using Statement::Statement;
  Flow execute(Render& r, Output& out) const override;
  Target target;
  ExprPtr iterable, test;
  Body body, otherwise;
  bool recursive = false;
};

struct Set final : Statement {
  using Statement::Statement;
  Flow execute(Render& r, Output& out) const override;
  Target target;
  ExprPtr value;
};

struct SetBlock final : Statement {
  using Statement::Statement;
  Flow execute(Render& r, Output& out) const override;
  Target target;
  ExprPtr filter;  // may be null
  Body body;
};

struct FilterBlock final : Statement {
  using Statement::Statement;
  Flow execute(Render& r, Output& out) const override;
  ExprPtr filter;
  Body body;
};

struct Parameter {
  int id = 0;
  std::string name;
  ExprPtr fallback;  // may be null
};

struct Signature {
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
};

struct MacroStatement final : Statement {
  using Statement::Statement;
  Flow execute(Render& r, Output& out) const override;
  int id = 0;
  Signature signature;
};

struct CallBlock final : Statement {
  using Statement::Statement;
  Flow execute(Render& r, Output& out) const override;
  std::unique_ptr<const Call> call;
  Signature signature;
};

struct With final : Statement {
  using Statement::Statement;
  Flow execute(Render& r, Output& out) const override;
  std::vector<std::pair<Target, ExprPtr>> items;
  Body body;
};

struct Jump final : Statement {
  Jump(int at_line, Flow where) : Statement(at_line), flow(where) {}
  Flow execute(Render& r, Output& out) const override;
  Flow flow = Flow::leave;
};

// The names that have a meaning of their own get the first slots.
enum Slot : int { kCaller, kVarargs, kKwargs, kLoop, kReservedSlots };

struct Program {
  std::string name;
  std::vector<Value> names;  // slot -> variable name, as a string value
  Body body;
};

}  // namespace tarn::lm::jinja
