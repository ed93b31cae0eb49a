// One run of a program: scopes, budget, and what nodes, filters and methods need while running.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/require.h"
#include "lm/chat_template/ast.h"
#include "lm/chat_template/marked.h"
#include "tarn/lm/chat_template.h"

namespace tarn::lm::jinja {

// The arguments of a call, evaluated.
struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Scope {
  Scope* parent = nullptr;
  std::vector<std::pair<int, Value>> variables;
  bool captured = false;  // a macro was made in it, so it lives until the end of the rendering
};

struct Macro final : Object {
  const Signature* signature = nullptr;
  Scope* scope = nullptr;
};

using NativeFunction = Value (*)(Render& r, const Value& self, Args& args);

struct Function final : Object {
  NativeFunction call = nullptr;
  Value self;  // of a bound method
};

struct Cycler final : Object {
  std::vector<Value> items;
  size_t at = 0;
};

struct Joiner final : Object {
  Value separator;
  bool used = false;
};

// The walk of one for statement. Items are drawn one ahead at most, unless the length is asked for.
struct Loop final : Object {
  const For* statement = nullptr;
  Scope* scope = nullptr;  // around the statement
  Value source;
  size_t drawn = 0;
  std::vector<Value> pending;  // drawn and accepted; from `visited` on not yet visited
  size_t visited = 0;
  bool finished = false;
  int64_t index = -1;
  int64_t level = 0;
  Value previous, current, changed;
};

// Text under construction; its bytes count as alive.
class Output {
 public:
  explicit Output(Render& r) : render_(r) {}
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  void append(std::string_view s);  // of the template
  void append(const Value& v);      // as it prints
  Marked take();

 private:
  void make_room(size_t bytes);

  Render& render_;
  Marked text_;
};

class Render {
 public:
  Render(const Program& program, const TemplateBudget& budget)
      : program_(program), budget_(budget) {
    root_.assign(program.names.size(), Value::missing());
  }
  ~Render();
  Render(const Render&) = delete;
  Render& operator=(const Render&) = delete;

  // A variable of the caller's or a global function; a name that the program lacks is ignored.
  Marked run();
  std::vector<Value>& context() { return root_; }
  const Program& program() const { return program_; }

  // Errors and budget. `fail` adds the place in the template.
  template <class... T>
  [[noreturn, gnu::cold]] void fail(fmt::format_string<T...> text, T&&... args) const {
    fail_with(fmt::format(text, std::forward<T>(args)...));
  }
  [[noreturn]] void fail_with(std::string_view message) const;
  void step(int64_t n = 1) {
    if ((steps_ += n) > budget_.steps) [[unlikely]]
      out_of_steps();
  }
  // Before anything of `bytes` bytes is made.
  void reserve(int64_t bytes) const;
  void check_length(int64_t bytes) const;  // of one text
  Meter& meter() { return meter_; }

  // Values. A text is foreign as a whole unless its maker says otherwise.
  Value text(std::string s, bool markup = false);
  Value text(Marked marked, bool markup = false);
  // A part of a string value; `view` looks into its text.
  Value part(const Value& string, std::string_view view, bool markup = false);
  Value text(std::string_view s) { return text(std::string(s)); }
  Value text(const char* s) { return text(std::string(s)); }
  Value sequence(std::vector<Value> items, Flavor flavor = Flavor::list);
  Value range(int64_t start, int64_t stop, int64_t stride);
  Value dict(std::shared_ptr<Dict> d);
  Value name_space(std::shared_ptr<Namespace> n);
  Value function(NativeFunction call, Value self = {});
  Value cycler(std::vector<Value> items);
  Value joiner(Value separator);
  template <class T>
  std::shared_ptr<T> counted(std::shared_ptr<T> object, int64_t bytes) {
    reserve(bytes);
    object->meter = &meter_;
    object->bytes = bytes;
    meter_.live += bytes;
    return object;
  }
  // Whether a dict can have this key; the price is paid before the key is walked.
  bool can_be_key(const Value& key) {
    step(weight(key));
    return hashable(key);
  }
  void need_key(const Value& key);
  void put(Dict& d, const Value& key, Value value);
  // What a for walks over; a generator is used up by it.
  std::vector<Value> iterate(const Value& v);
  int64_t length(const Value& v);
  // Python's str(v).
  Value to_text(const Value& v);

  // Access. `name` is a string value.
  Value attribute(const Value& object, const Value& name);
  Value item(const Value& object, const Value& index);
  Value slice(const Value& object, const Value& start, const Value& stop, const Value& step);
  // What an undefined value says when it is used.
  [[noreturn]] void fail_undefined(const Value& v) const;
  void need_defined(const Value& v) const {
    if (v.is(Type::undefined)) [[unlikely]]
      fail_undefined(v);
  }

  // Running.
  Value evaluate(const Expr& e);
  Flow execute(const Body& body, Output& out);
  Value call(const Value& callee, Args args);
  Value call_macro(const Macro& macro, Args args);
  Args arguments(const Arguments& from);
  Flow run_loop(const For& statement, const Value& iterable, int64_t level, Scope* scope,
                Output& out);
  Value call_method(const Value& object, const Value& name, Args args);

  // Scopes.
  class Inner;
  Value lookup(int id);
  void store(int id, Value v);
  void assign(const Target& target, const Value& v);
  Scope* scope() const { return scope_; }
  Value make_macro(const Signature& signature);
  // Evaluates the filters around a block with the block's text as their input.
  Value filtered(const Expr& filter, Value block);
  const Value& captured() const { return captured_.back(); }

 private:
  friend class Output;

  [[noreturn]] void out_of_steps() const;
  void check_stack() const;
  void hold(Object& container, const Value& child) const;
  static void capture(Scope* scope);
  bool draw(Loop& loop);
  Value loop_attribute(const Value& self, const Value& name);
  int64_t loop_length(Loop& loop);
  Value sequence_item(const Value& object, const Value& index);
  Scope* open(Scope* parent);
  void close(Scope* scope);

  const Program& program_;
  const TemplateBudget budget_;
  Meter meter_;  // outlives every value below
  int64_t steps_ = 0;
  int calls_ = 0;
  int line_ = 1;
  uintptr_t stack_ = 0;
  std::vector<Value> root_;
  std::vector<Value> captured_;
  std::deque<Scope> scopes_;
  std::vector<Scope*> free_scopes_;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  Scope* scope_ = nullptr;
};

// A scope for as long as this object lives.
class Render::Inner {
 public:
  explicit Inner(Render& r) : Inner(r, r.scope_) {}
  Inner(Render& r, Scope* parent) : render_(r), outer_(r.scope_), inner_(r.open(parent)) {
    r.scope_ = inner_;
  }
  ~Inner() {
    render_.scope_ = outer_;
    render_.close(inner_);
  }
  Inner(const Inner&) = delete;
  Inner& operator=(const Inner&) = delete;

 private:
  Render& render_;
  Scope* outer_;
  Scope* inner_;
};

// operators.cpp
Value binary_operation(Render& r, Operator op, const Value& a, const Value& b);
Value unary_operation(Render& r, Operator op, const Value& v);
bool contains(Render& r, const Value& container, const Value& item);
bool less(Render& r, const Value& a, const Value& b);
bool same(Render& r, const Value& a, const Value& b);

// globals.cpp: null when there is no such function
NativeFunction find_global(std::string_view name);

}  // namespace tarn::lm::jinja
