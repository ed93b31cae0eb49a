#include "lm/chat_template/render.h"

#include <algorithm>

#include "lm/chat_template/filters.h"
#include "lm/chat_template/print.h"
#include "lm/chat_template/unicode.h"

namespace tarn::lm::jinja {
namespace {

// Stack that one rendering may use below its start. Threads have 8 MiB where nobody says otherwise.
constexpr uintptr_t kStackBytes = 1 << 20;
constexpr int kValueDepth = 128;
constexpr int64_t kMostWeight = int64_t{1} << 40;

uintptr_t stack_position() { return reinterpret_cast<uintptr_t>(__builtin_frame_address(0)); }

}  // namespace

Output::~Output() { render_.meter_.live -= static_cast<int64_t>(text_.text.size()); }

void Output::make_room(size_t bytes) {
  const auto size = static_cast<int64_t>(bytes);
  render_.check_length(static_cast<int64_t>(text_.text.size()) + size);
  render_.reserve(size);
  render_.meter_.live += size;
}

void Output::append(std::string_view s) {
  make_room(s.size());
  text_.append_own(s);
}

void Output::append(const Value& v) {
  if (v.is(Type::string)) {
    make_room(v.text().size());
    text_.append(v.string());
    return;
  }
  std::string s;
  append_text(render_, s, v);
  make_room(s.size());
  text_.append_foreign(s);
}

Marked Output::take() {
  render_.meter_.live -= static_cast<int64_t>(text_.text.size());
  return std::exchange(text_, {});
}

Render::~Render() {
  // Namespaces can hold each other in a ring.
  for (const auto& n : namespaces_) n->attributes.entries.clear();
}

Marked Render::run() {
  stack_ = stack_position();
  Output out(*this);
  execute(program_.body, out);
  return out.take();
}

void Render::fail_with(std::string_view message) const {
  tarn::fail("[chat_template] {}, line {}: {}", program_.name, line_, message);
}

void Render::out_of_steps() const { fail("the budget of {} steps ran out.", budget_.steps); }

void Render::check_length(int64_t bytes) const {
  if (bytes > budget_.output_bytes) {
    fail("a text of {} bytes exceeds the budget of {} (output_bytes).", bytes,
         budget_.output_bytes);
  }
}

void Render::reserve(int64_t bytes) const {
  if (bytes > budget_.memory_bytes - meter_.live) {
    fail("the values need more than the budget of {} bytes (memory_bytes).", budget_.memory_bytes);
  }
}

void Render::check_stack() const {
  if (stack_ - stack_position() > kStackBytes) {
    fail("calls and expressions are nested too deeply.");
  }
}

void Render::hold(Object& container, const Value& child) const {
  container.depth = std::max(container.depth, depth(child) + 1);
  container.weight = std::min(container.weight + weight(child), kMostWeight);
  if (container.depth > kValueDepth) fail("values are nested more than {} deep.", kValueDepth);
}

Value Render::text(std::string s, bool markup) {
  Marked marked;
  if (!s.empty()) marked.foreign.push_back({0, s.size()});
  marked.text = std::move(s);
  return text(std::move(marked), markup);
}

Value Render::text(Marked marked, bool markup) {
  const auto size = static_cast<int64_t>(marked.text.size());
  check_length(size);
  step(size >> 10);
  const auto bytes = size + static_cast<int64_t>(marked.foreign.size() * sizeof(TextRange)) + 96;
  auto made = counted(std::make_shared<Text>(std::move(marked.text), markup), bytes);
  made->foreign = std::move(marked.foreign);
  return Value(Type::string, std::move(made));
}

Value Render::part(const Value& string, std::string_view view, bool markup) {
  Marked marked;
  marked.append(string.string(), view);
  return text(std::move(marked), markup);
}

Value Render::sequence(std::vector<Value> items, Flavor flavor) {
  const auto size = static_cast<int64_t>(items.size());
  step(size >> 3);
  auto s = counted(std::make_shared<Sequence>(), 128 + size * int64_t{sizeof(Value)});
  for (const Value& item : items) hold(*s, item);
  s->items = std::move(items);
  s->flavor = flavor;
  return Value(Type::sequence, std::move(s));
}

Value Render::range(int64_t start, int64_t stop, int64_t stride) {
  // Jinja's own bound, and the reason why a range can be a plain list inside.
  constexpr uint64_t kMost = 100'000;
  if (stride == 0) fail("range: the step is 0.");
  const bool up = stride > 0;
  uint64_t count = 0;
  if (up ? start < stop : start > stop) {
    const uint64_t distance = up ? static_cast<uint64_t>(stop) - static_cast<uint64_t>(start)
                                 : static_cast<uint64_t>(start) - static_cast<uint64_t>(stop);
    const uint64_t width = up ? static_cast<uint64_t>(stride) : -static_cast<uint64_t>(stride);
    count = (distance - 1) / width + 1;
  }
  if (count > kMost) fail("range: {} items, at most {} are allowed.", count, kMost);
  reserve(static_cast<int64_t>(count * sizeof(Value)));
  std::vector<Value> items;
  items.reserve(count);
  for (uint64_t i = 0; i < count; ++i) items.emplace_back(start + static_cast<int64_t>(i) * stride);
  Value v = sequence(std::move(items), Flavor::range);
  v.sequence().start = start;
  v.sequence().stop = stop;
  v.sequence().stride = stride;
  return v;
}

Value Render::dict(std::shared_ptr<Dict> d) {
  const auto size = static_cast<int64_t>(d->entries.size());
  step(size >> 3);
  for (const auto& [key, value] : d->entries) {
    hold(*d, key);
    hold(*d, value);
  }
  return Value(Type::dict, counted(std::move(d), 128 + size * int64_t{3 * sizeof(Value)}));
}

Value Render::name_space(std::shared_ptr<Namespace> n) {
  const auto size = static_cast<int64_t>(n->attributes.entries.size());
  namespaces_.push_back(counted(n, 256 + size * int64_t{3 * sizeof(Value)}));
  return Value(Type::name_space, std::move(n));
}

Value Render::function(NativeFunction call, Value self) {
  auto f = counted(std::make_shared<Function>(), sizeof(Function));
  hold(*f, self);
  f->call = call;
  f->self = std::move(self);
  return Value(Type::function, std::move(f));
}

Value Render::cycler(std::vector<Value> items) {
  auto c = counted(std::make_shared<Cycler>(), static_cast<int64_t>(items.size() * sizeof(Value)));
  for (const Value& item : items) hold(*c, item);
  c->items = std::move(items);
  return Value(Type::cycler, std::move(c));
}

Value Render::joiner(Value separator) {
  auto j = counted(std::make_shared<Joiner>(), sizeof(Joiner));
  hold(*j, separator);
  j->separator = std::move(separator);
  return Value(Type::joiner, std::move(j));
}

void Render::need_key(const Value& key) {
  if (!can_be_key(key)) fail("a {} cannot be the key of a dict.", type_name(key));
}

void Render::put(Dict& d, const Value& key, Value value) {
  need_key(key);
  if ((d.entries.size() & 0xFF) == 0xFF) {
    reserve(static_cast<int64_t>(d.entries.size() * 4 * sizeof(Value)));
  }
  d.set(key, std::move(value));
}

std::vector<Value> Render::iterate(const Value& v) {
  std::vector<Value> items;
  switch (v.type()) {
    case Type::undefined:
      break;
    case Type::string: {
      const std::string& s = v.text();
      reserve(v.string().length * int64_t{sizeof(Value) + 128});
      for (size_t at = 0; at < s.size();) {
        const size_t begin = at;
        decode(s, at);
        items.push_back(part(v, std::string_view(s).substr(begin, at - begin)));
      }
      break;
    }
    case Type::dict:
      for (const auto& entry : v.dict().entries) items.push_back(entry.first);
      break;
    case Type::sequence: {
      Sequence& s = v.sequence();
      if (s.consumed) break;
      s.consumed = s.flavor == Flavor::generator;
      items = s.items;
      break;
    }
    case Type::loop:
      fail("a loop can be walked by its own for only.");
    default:
      fail("a {} cannot be iterated.", type_name(v));
  }
  reserve(static_cast<int64_t>(items.size() * sizeof(Value)));
  step(static_cast<int64_t>(items.size() >> 2));
  return items;
}

int64_t Render::length(const Value& v) {
  switch (v.type()) {
    case Type::undefined:
      return 0;
    case Type::string:
      return v.string().length;
    case Type::dict:
      return static_cast<int64_t>(v.dict().entries.size());
    case Type::sequence:
      if (v.sequence().flavor == Flavor::generator) break;
      return static_cast<int64_t>(v.sequence().items.size());
    case Type::loop:
      return loop_length(v.object<Loop>());
    default:
      break;
  }
  fail("a {} has no length.", type_name(v));
}

Value Render::to_text(const Value& v) {
  if (v.is(Type::string) && !v.string().markup) return v;
  std::string out;
  append_text(*this, out, v);
  return text(std::move(out));
}

void Render::fail_undefined(const Value& v) const {
  const std::string& name = v.text();
  switch (v.absence()) {
    case Absence::variable:
      fail("'{}' is undefined.", name);
    case Absence::attribute:
      fail("'{}' has no attribute '{}'.", type_name(v.absent_of()), name);
    case Absence::unsafe:
      fail("'{}' of a {} changes it, which a template may not.", name, type_name(v.absent_of()));
    case Absence::hint:
      break;
  }
  fail_with(name);
}

Value Render::evaluate(const Expr& e) {
  step();
  check_stack();
  const int outer = std::exchange(line_, e.line);
  Value v = e.evaluate(*this);
  line_ = outer;
  return v;
}

Flow Render::execute(const Body& body, Output& out) {
  for (const auto& statement : body) {
    step();
    line_ = statement->line;
    const Flow flow = statement->execute(*this, out);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

// ---------------------------------------------------------------- scopes

Scope* Render::open(Scope* parent) {
  if (free_scopes_.empty()) {
    free_scopes_.push_back(&scopes_.emplace_back());
  }
  Scope* scope = free_scopes_.back();
  free_scopes_.pop_back();
  scope->parent = parent;
  return scope;
}

void Render::close(Scope* scope) {
  if (scope->captured) {
    meter_.live += static_cast<int64_t>(128 + scope->variables.size() * 48);
    return;
  }
  scope->variables.clear();
  free_scopes_.push_back(scope);
}

void Render::capture(Scope* scope) {
  for (; scope != nullptr && !scope->captured; scope = scope->parent) scope->captured = true;
}

Value Render::lookup(int id) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    for (const auto& [name, value] : scope->variables) {
      if (name == id) return value;
    }
  }
  const Value& v = root_[static_cast<size_t>(id)];
  if (!v.is(Type::missing)) return v;
  return Value::undefined(Absence::variable, program_.names[static_cast<size_t>(id)]);
}

void Render::store(int id, Value v) {
  if (scope_ == nullptr) {
    root_[static_cast<size_t>(id)] = std::move(v);
    return;
  }
  for (auto& [name, value] : scope_->variables) {
    if (name == id) {
      value = std::move(v);
      return;
    }
  }
  scope_->variables.emplace_back(id, std::move(v));
}

void Render::assign(const Target& target, const Value& v) {
  if (target.items.empty()) {
    if (target.attribute.is(Type::none)) return store(target.id, v);
    const Value where = lookup(target.id);
    if (!where.is(Type::name_space)) fail("only a namespace can be assigned attributes.");
    put(where.object<Namespace>().attributes, target.attribute, v);
    return;
  }
  need_defined(v);
  const std::vector<Value> items = iterate(v);
  if (items.size() != target.items.size()) {
    fail("{} values cannot be assigned to {} names.", items.size(), target.items.size());
  }
  for (size_t i = 0; i < items.size(); ++i) assign(target.items[i], items[i]);
}

Value Render::make_macro(const Signature& signature) {
  auto macro = counted(std::make_shared<Macro>(), sizeof(Macro));
  macro->signature = &signature;
  macro->scope = scope_;
  capture(scope_);
  return Value(Type::macro, std::move(macro));
}

Value Render::filtered(const Expr& filter, Value block) {
  captured_.push_back(std::move(block));
  Value v = evaluate(filter);
  captured_.pop_back();
  return v;
}

}  // namespace tarn::lm::jinja
