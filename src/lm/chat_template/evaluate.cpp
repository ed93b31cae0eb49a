// What each node of a program does.
#include <algorithm>

#include "lm/chat_template/filters.h"
#include "lm/chat_template/print.h"
#include "lm/chat_template/render.h"

namespace tarn::lm::jinja {

Value Constant::evaluate(Render&) const { return value; }
Value Name::evaluate(Render& r) const { return r.lookup(id); }
Value Captured::evaluate(Render& r) const { return r.captured(); }

Value Display::evaluate(Render& r) const {
  std::vector<Value> values;
  values.reserve(items.size());
  for (const ExprPtr& e : items) values.push_back(r.evaluate(*e));
  return r.sequence(std::move(values), flavor);
}

Value DictDisplay::evaluate(Render& r) const {
  auto d = std::make_shared<Dict>();
  for (const auto& [key, value] : items) {
    const Value k = r.evaluate(*key);
    r.put(*d, k, r.evaluate(*value));
  }
  return r.dict(std::move(d));
}

Value Attribute::evaluate(Render& r) const { return r.attribute(r.evaluate(*object), name); }

Value Item::evaluate(Render& r) const {
  const Value from = r.evaluate(*object);
  return r.item(from, r.evaluate(*index));
}

Value Slice::evaluate(Render& r) const {
  const auto part = [&](const ExprPtr& e) { return e == nullptr ? Value() : r.evaluate(*e); };
  const Value from = r.evaluate(*object);
  const Value a = part(start), b = part(stop), c = part(step);
  return r.slice(from, a, b, c);
}

Args Render::arguments(const Arguments& from) {
  Args args;
  args.positional.reserve(from.positional.size());
  for (const ExprPtr& e : from.positional) args.positional.push_back(evaluate(*e));
  if (from.star != nullptr) {
    const Value more = evaluate(*from.star);
    for (Value& v : iterate(more)) args.positional.push_back(std::move(v));
  }
  for (const auto& [name, e] : from.named) args.named.emplace_back(name, evaluate(*e));
  if (from.star_star != nullptr) {
    const Value more = evaluate(*from.star_star);
    if (!more.is(Type::dict)) fail("** needs a dict, not a {}.", type_name(more));
    for (const auto& [key, value] : more.dict().entries) {
      if (!key.is(Type::string)) fail("** needs a dict whose keys are strings.");
      args.named.emplace_back(key.text(), value);
    }
  }
  for (size_t i = 1; i < args.named.size() && args.named.size() < 256; ++i) {
    for (size_t k = 0; k < i; ++k) {
      if (args.named[i].first == args.named[k].first) {
        fail("the argument '{}' is given twice.", args.named[i].first);
      }
    }
  }
  return args;
}

Value Call::evaluate(Render& r) const { return call(r, Value::missing()); }

Value Call::call(Render& r, const Value& caller) const {
  const auto collect = [&] {
    Args args = r.arguments(arguments);
    if (!caller.is(Type::missing)) args.named.emplace_back("caller", caller);
    return args;
  };
  if (const auto* method = dynamic_cast<const Attribute*>(callee.get())) {
    const Value object = r.evaluate(*method->object);
    r.need_defined(object);
    return r.call_method(object, method->name, collect());
  }
  const Value target = r.evaluate(*callee);
  return r.call(target, collect());
}

Value FilterCall::evaluate(Render& r) const {
  if (function == nullptr) r.fail("there is no filter '{}'.", name);
  const Value from = r.evaluate(*input);
  Args args = r.arguments(arguments);
  return function(r, from, args);
}

Value TestCall::evaluate(Render& r) const {
  if (function == nullptr) r.fail("there is no test '{}'.", name);
  const Value from = r.evaluate(*input);
  Args args = r.arguments(arguments);
  return function(r, from, args);
}

Value Unary::evaluate(Render& r) const { return unary_operation(r, op, r.evaluate(*operand)); }

Value Binary::evaluate(Render& r) const {
  Value a = r.evaluate(*left);
  if (op == Operator::logic_and) return truthy(a) ? r.evaluate(*right) : a;
  if (op == Operator::logic_or) return truthy(a) ? a : r.evaluate(*right);
  return binary_operation(r, op, a, r.evaluate(*right));
}

Value Comparison::evaluate(Render& r) const {
  Value a = r.evaluate(*first);
  for (const auto& [op, e] : rest) {
    Value b = r.evaluate(*e);
    if (!truthy(binary_operation(r, op, a, b))) return false;
    a = std::move(b);
  }
  return true;
}

Value Concat::evaluate(Render& r) const {
  Marked out;
  for (const ExprPtr& part : parts) {
    append_text(r, out, r.evaluate(*part));
    r.check_length(static_cast<int64_t>(out.text.size()));
  }
  return r.text(std::move(out));
}

Value Conditional::evaluate(Render& r) const {
  if (truthy(r.evaluate(*test))) return r.evaluate(*then);
  if (otherwise != nullptr) return r.evaluate(*otherwise);
  return Value::undefined(Absence::hint,
                          r.text("the inline if evaluated to false and has no else."));
}

Flow Data::execute(Render&, Output& out) const {
  out.append(text);
  return Flow::next;
}

Flow Print::execute(Render& r, Output& out) const {
  out.append(r.evaluate(*value));
  return Flow::next;
}

Flow If::execute(Render& r, Output& out) const {
  for (const auto& [test, body] : branches) {
    if (test == nullptr || truthy(r.evaluate(*test))) return r.execute(body, out);
  }
  return Flow::next;
}

Flow For::execute(Render& r, Output& out) const {
  return r.run_loop(*this, r.evaluate(*iterable), 0, r.scope(), out);
}

Flow Set::execute(Render& r, Output&) const {
  r.assign(target, r.evaluate(*value));
  return Flow::next;
}

Flow SetBlock::execute(Render& r, Output&) const {
  Output block(r);
  {
    const Render::Inner inner(r);
    const Flow flow = r.execute(body, block);
    if (flow != Flow::next) return flow;
  }
  Value v = r.text(block.take());
  if (filter != nullptr) v = r.filtered(*filter, std::move(v));
  r.assign(target, v);
  return Flow::next;
}

Flow FilterBlock::execute(Render& r, Output& out) const {
  Output block(r);
  {
    const Render::Inner inner(r);
    const Flow flow = r.execute(body, block);
    if (flow != Flow::next) return flow;
  }
  out.append(r.filtered(*filter, r.text(block.take())));
  return Flow::next;
}

Flow MacroStatement::execute(Render& r, Output&) const {
  r.store(id, r.make_macro(signature));
  return Flow::next;
}

Flow CallBlock::execute(Render& r, Output& out) const {
  out.append(call->call(r, r.make_macro(signature)));
  return Flow::next;
}

Flow With::execute(Render& r, Output& out) const {
  std::vector<Value> values;
  for (const auto& item : items) values.push_back(r.evaluate(*item.second));
  const Render::Inner inner(r);
  for (size_t i = 0; i < items.size(); ++i) r.assign(items[i].first, values[i]);
  return r.execute(body, out);
}

Flow Jump::execute(Render&, Output&) const { return flow; }

}  // namespace tarn::lm::jinja
