// Attributes, items, slices and calls.
#include <algorithm>

#include "lm/chat_template/filters.h"
#include "lm/chat_template/render.h"
#include "lm/chat_template/unicode.h"

namespace tarn::lm::jinja {
namespace {

std::string_view character(const Text& s, int64_t index) {
  const std::string_view text = s.text;
  if (s.ascii()) return text.substr(static_cast<size_t>(index), 1);
  const size_t begin = byte_of(s.text, index);
  size_t end = begin;
  decode(s.text, end);
  return text.substr(begin, end - begin);
}

// A macro's view of its own call, in Jinja's order: parameters, caller, kwargs, varargs.
struct Binding {
  Render& r;
  const Signature& signature;
  Args& args;

  Value take_named(std::string_view name) {
    for (auto it = args.named.begin(); it != args.named.end(); ++it) {
      if (it->first != name) continue;
      Value v = std::move(it->second);
      args.named.erase(it);
      return v;
    }
    return Value::missing();
  }

  void bind() {
    const auto& parameters = signature.parameters;
    const size_t given = std::min(parameters.size(), args.positional.size());
    bool found_caller = false;
    for (size_t i = 0; i < parameters.size(); ++i) {
      Value v = i < given ? args.positional[i] : take_named(parameters[i].name);
      found_caller |= parameters[i].id == kCaller;
      if (v.is(Type::missing)) {
        v = parameters[i].fallback != nullptr
                ? r.evaluate(*parameters[i].fallback)
                : Value::undefined(
                      Absence::hint,
                      r.text(fmt::format("parameter '{}' was not provided.", parameters[i].name)));
      }
      r.store(parameters[i].id, std::move(v));
    }
    if (signature.uses_caller && !found_caller) bind_caller();
    if (signature.uses_kwargs) {
      auto rest = std::make_shared<Dict>();
      for (auto& [name, value] : args.named) r.put(*rest, r.text(name), std::move(value));
      r.store(kKwargs, r.dict(std::move(rest)));
    } else if (!args.named.empty()) {
      r.fail("the macro '{}' takes no keyword argument '{}'.", signature.name, args.named[0].first);
    }
    bind_varargs(given);
  }

  void bind_caller() {
    Value caller = take_named("caller");
    if (caller.is(Type::missing) || caller.is(Type::none)) {
      caller = Value::undefined(Absence::hint, r.text("No caller defined."));
    }
    r.store(kCaller, std::move(caller));
  }

  void bind_varargs(size_t given) {
    if (signature.uses_varargs) {
      const auto first = args.positional.begin() + static_cast<ptrdiff_t>(given);
      r.store(kVarargs, r.sequence({first, args.positional.end()}, Flavor::tuple));
    } else if (args.positional.size() > given) {
      r.fail("the macro '{}' takes {} arguments, {} were given.", signature.name,
             signature.parameters.size(), args.positional.size());
    }
  }
};

Value macro_attribute(Render& r, const Value& self, const Value& name) {
  const Signature& signature = *self.object<Macro>().signature;
  if (name.text() == "name") return r.text(signature.name);
  if (name.text() == "arguments") {
    std::vector<Value> names;
    for (const Parameter& p : signature.parameters) names.push_back(r.text(p.name));
    return r.sequence(std::move(names), Flavor::tuple);
  }
  if (name.text() == "caller") return signature.uses_caller;
  if (name.text() == "catch_kwargs") return signature.uses_kwargs;
  if (name.text() == "catch_varargs") return signature.uses_varargs;
  return Value::undefined(Absence::attribute, name, self.type());
}

}  // namespace

Value Render::attribute(const Value& object, const Value& name) {
  need_defined(object);
  const auto absent = [&] { return Value::undefined(Absence::attribute, name, object.type()); };
  switch (object.type()) {
    case Type::name_space: {
      const Value* v = object.object<Namespace>().attributes.find(name);
      return v == nullptr ? absent() : *v;
    }
    case Type::loop:
      return loop_attribute(object, name);
    case Type::macro:
      return macro_attribute(*this, object, name);
    case Type::cycler:
      if (name.text() == "current") {
        const auto& cycler = object.object<Cycler>();
        return cycler.items[cycler.at];
      }
      break;
    case Type::sequence:
      if (object.sequence().group && name.text() == "grouper") return object.sequence().items[0];
      if (object.sequence().group && name.text() == "list") return object.sequence().items[1];
      break;
    default:
      break;
  }
  bool known = false;
  if (const NativeFunction method = find_method(object, name.text(), known)) {
    return function(method, object);
  }
  if (known) return Value::undefined(Absence::unsafe, name, object.type());
  if (object.is(Type::dict)) {
    if (const Value* v = object.dict().find(name)) return *v;
  }
  return absent();
}

Value Render::sequence_item(const Value& object, const Value& index) {
  const bool is_text = object.is(Type::string);
  const int64_t n = length(object);
  const int64_t i = index.whole() < 0 ? index.whole() + n : index.whole();
  if (i < 0 || i >= n) {
    return Value::undefined(Absence::hint, text(fmt::format("a {} of length {} has no element {}.",
                                                            type_name(object), n, index.whole())));
  }
  if (!is_text) return object.sequence().items[static_cast<size_t>(i)];
  step(weight(object));
  return part(object, character(object.string(), i), object.string().markup);
}

Value Render::item(const Value& object, const Value& index) {
  need_defined(object);
  if (object.is(Type::dict) && can_be_key(index)) {
    if (const Value* v = object.dict().find(index)) return *v;
  }
  const bool ordered =
      object.is(Type::string) || (object.is(Type::sequence) && object.sequence().indexable());
  if (ordered && index.is_whole()) return sequence_item(object, index);
  if (index.is(Type::string)) {
    // d["items"] without such a key is the method, as in Jinja.
    if (!object.is(Type::dict)) return attribute(object, index);
    bool known = false;
    if (const NativeFunction method = find_method(object, index.text(), known)) {
      return function(method, object);
    }
    return Value::undefined(Absence::attribute, index, object.type());
  }
  return Value::undefined(Absence::hint,
                          text(fmt::format("a {} has no such element.", type_name(object))));
}

Value Render::slice(const Value& object, const Value& start, const Value& stop,
                    const Value& step_by) {
  need_defined(object);
  const bool is_text = object.is(Type::string);
  if (!is_text && !(object.is(Type::sequence) && object.sequence().indexable())) {
    fail("a {} cannot be sliced.", type_name(object));
  }
  for (const Value* v : {&start, &stop, &step_by}) {
    if (!v->is(Type::none) && !v->is_whole()) fail("slice indices are integers or none.");
  }
  const int64_t n = length(object);
  const int64_t by = step_by.is(Type::none) ? 1 : step_by.whole();
  if (by == 0) fail("the step of a slice cannot be 0.");
  const auto bound = [&](const Value& v, int64_t fallback) {
    if (v.is(Type::none)) return fallback;
    const int64_t i = v.whole() < 0 ? v.whole() + n : v.whole();
    return by > 0 ? std::clamp<int64_t>(i, 0, n) : std::clamp<int64_t>(i, -1, n - 1);
  };
  const int64_t from = bound(start, by > 0 ? 0 : n - 1), to = bound(stop, by > 0 ? n : -1);
  step(weight(object));
  if (is_text && by == 1) {
    const Text& s = object.string();
    const size_t a = s.ascii() ? static_cast<size_t>(from) : byte_of(s.text, from);
    const size_t b = s.ascii() ? static_cast<size_t>(to) : byte_of(s.text, to);
    return part(object, std::string_view(s.text).substr(a, a < b ? b - a : 0), s.markup);
  }
  std::vector<int64_t> picks;
  for (int64_t i = from; by > 0 ? i < to : i > to;) {
    picks.push_back(i);
    if (by > n || by < -n) break;
    i += by;
  }
  if (is_text) {
    const std::vector<int32_t> points = decode_all(object.text());
    std::string out;
    for (const int64_t i : picks) append_utf8(out, points[static_cast<size_t>(i)]);
    return text(std::move(out), object.string().markup);
  }
  const Sequence& s = object.sequence();
  std::vector<Value> items;
  for (const int64_t i : picks) items.push_back(s.items[static_cast<size_t>(i)]);
  Value v = sequence(std::move(items), s.flavor);
  v.sequence().start = s.start + from * s.stride;
  v.sequence().stop = s.start + to * s.stride;
  v.sequence().stride = s.stride * by;
  return v;
}

Value Render::call_method(const Value& object, const Value& name, Args args) {
  if (!object.is(Type::undefined) && !object.is(Type::name_space)) {
    bool known = false;
    if (const NativeFunction method = find_method(object, name.text(), known)) {
      return method(*this, object, args);
    }
  }
  return call(attribute(object, name), std::move(args));
}

Value Render::call(const Value& callee, Args args) {
  switch (callee.type()) {
    case Type::function: {
      const auto& f = callee.object<Function>();
      return f.call(*this, f.self, args);
    }
    case Type::macro:
      return call_macro(callee.object<Macro>(), std::move(args));
    case Type::undefined:
      fail_undefined(callee);
    case Type::joiner: {
      auto& joiner = callee.object<Joiner>();
      return std::exchange(joiner.used, true) ? joiner.separator : text("");
    }
    case Type::loop: {
      const auto& loop = callee.object<Loop>();
      if (loop.statement == nullptr || !loop.statement->recursive || args.positional.size() != 1) {
        fail("only the loop of a recursive for can be called, with one argument.");
      }
      if (++calls_ > budget_.depth) fail("loops are nested more than {} deep.", budget_.depth);
      Output out(*this);
      run_loop(*loop.statement, args.positional[0], loop.level + 1, loop.scope, out);
      --calls_;
      return text(out.take());
    }
    default:
      fail("a {} cannot be called.", type_name(callee));
  }
}

Value Render::call_macro(const Macro& macro, Args args) {
  if (++calls_ > budget_.depth) {
    fail("calls are nested more than {} deep (depth), last of the macro '{}'.", budget_.depth,
         macro.signature->name);
  }
  const int outer = line_;
  Output out(*this);
  {
    const Inner inner(*this, macro.scope);
    Binding{*this, *macro.signature, args}.bind();
    execute(macro.signature->body, out);
  }
  --calls_;
  line_ = outer;
  return text(out.take());
}

// ---------------------------------------------------------------- loops

// Makes the next accepted item pending; false at the end.
bool Render::draw(Loop& loop) {
  if (loop.visited < loop.pending.size()) return true;
  loop.pending.clear();
  loop.visited = 0;
  const auto& items = loop.source.sequence().items;
  while (loop.drawn < items.size()) {
    const Value item = items[loop.drawn++];
    if (loop.statement->test != nullptr) {
      const Inner inner(*this, loop.scope);
      assign(loop.statement->target, item);
      if (!truthy(evaluate(*loop.statement->test))) continue;
    }
    loop.pending.push_back(item);
    return true;
  }
  return false;
}

int64_t Render::loop_length(Loop& loop) {
  if (loop.finished) fail("the loop is over.");
  if (loop.statement->test == nullptr) {
    return static_cast<int64_t>(loop.source.sequence().items.size());
  }
  std::vector<Value> rest(loop.pending.begin() + static_cast<ptrdiff_t>(loop.visited),
                          loop.pending.end());
  loop.pending.clear();
  loop.visited = 0;
  while (draw(loop)) {
    rest.push_back(loop.pending[0]);
    loop.pending.clear();
  }
  loop.pending = std::move(rest);
  return loop.index + 1 + static_cast<int64_t>(loop.pending.size());
}

Value Render::loop_attribute(const Value& self, const Value& name) {
  auto& loop = self.object<Loop>();
  const std::string& n = name.text();
  if (n == "index") return loop.index + 1;
  if (n == "index0") return loop.index;
  if (n == "first") return loop.index == 0;
  if (n == "depth") return loop.level + 1;
  if (n == "depth0") return loop.level;
  bool known = false;
  if (const NativeFunction method = find_method(self, n, known)) return function(method, self);
  if (loop.finished) fail("the loop is over.");
  if (n == "last") return !draw(loop);
  if (n == "length") return loop_length(loop);
  if (n == "revindex") return loop_length(loop) - loop.index;
  if (n == "revindex0") return loop_length(loop) - loop.index - 1;
  if (n == "previtem") {
    if (loop.index > 0) return loop.previous;
    return Value::undefined(Absence::hint, text("there is no previous item."));
  }
  if (n == "nextitem") {
    if (draw(loop)) return loop.pending[loop.visited];
    return Value::undefined(Absence::hint, text("there is no next item."));
  }
  return Value::undefined(Absence::attribute, name, self.type());
}

Flow Render::run_loop(const For& statement, const Value& iterable, int64_t level, Scope* around,
                      Output& out) {
  auto loop = counted(std::make_shared<Loop>(), sizeof(Loop));
  const bool is_list = iterable.is(Type::sequence) && iterable.sequence().flavor <= Flavor::tuple;
  loop->source = is_list ? iterable : sequence(iterate(iterable));
  loop->statement = &statement;
  loop->scope = around;
  loop->level = level;
  if (statement.recursive) capture(around);
  const Value self(Type::loop, loop);
  // A loop that outlives its statement holds nothing: so loops cannot make rings or long chains.
  struct Finish {
    Loop& loop;
    ~Finish() {
      loop.finished = true;
      loop.source = loop.previous = loop.current = loop.changed = Value();
      loop.pending.clear();
    }
  } const finish{*loop};

  bool completed = false;
  while (draw(*loop)) {
    ++loop->index;
    loop->previous = std::move(loop->current);
    loop->current = loop->pending[loop->visited++];
    const Inner inner(*this, around);
    store(kLoop, self);
    line_ = statement.line;
    assign(statement.target, loop->current);
    const Flow flow = execute(statement.body, out);
    completed |= flow == Flow::next;
    if (flow == Flow::leave) break;
  }
  // As in Jinja: a loop whose every round ended in break or continue runs its else, too.
  if (completed || statement.otherwise.empty()) return Flow::next;
  const Inner inner(*this, around);
  return execute(statement.otherwise, out);
}

}  // namespace tarn::lm::jinja
