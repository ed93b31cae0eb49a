// Filters of lists, dicts and everything else that can be walked.
#include <algorithm>
#include <numeric>
#include <set>
#include <unordered_map>

#include "lm/chat_template/filters.h"
#include "lm/chat_template/print.h"
#include "lm/chat_template/unicode.h"

namespace tarn::lm::jinja {
namespace {

Value generator(Render& r, std::vector<Value> items) {
  return r.sequence(std::move(items), Flavor::generator);
}

Value fold_case(Render& r, const Value& v, bool case_sensitive) {
  return v.is(Type::string) && !case_sensitive ? r.text(lower(v.text())) : v;
}

Value length(Render& r, const Value& input, Args& args) {
  Bound(r, "length", args, {});
  return r.length(input);
}

Value first(Render& r, const Value& input, Args& args) {
  Bound(r, "first", args, {});
  if (input.is(Type::sequence) && !input.sequence().consumed && !input.sequence().items.empty()) {
    return input.sequence().items[0];
  }
  const std::vector<Value> items = r.iterate(input);
  if (items.empty()) return Value::undefined(Absence::hint, r.text("first: the list is empty."));
  return items[0];
}

Value last(Render& r, const Value& input, Args& args) {
  Bound(r, "last", args, {});
  r.need_defined(input);
  if (input.is(Type::sequence) && input.sequence().flavor == Flavor::generator) {
    r.fail("last: a generator cannot be walked from its end; use list before it.");
  }
  if (input.is(Type::sequence) && !input.sequence().items.empty()) {
    return input.sequence().items.back();
  }
  const std::vector<Value> items = r.iterate(input);
  if (items.empty()) return Value::undefined(Absence::hint, r.text("last: the list is empty."));
  return items.back();
}

Value join(Render& r, const Value& input, Args& args) {
  const Bound b(r, "join", args, {"d", "attribute"});
  Marked out;
  bool is_first = true;
  for (const Value& item : r.iterate(input)) {
    if (!std::exchange(is_first, false) && b.has(0)) append_text(r, out, b[0]);
    append_text(r, out, b.given(1) ? attribute_path(r, item, b[1], Value()) : item);
    r.check_length(static_cast<int64_t>(out.text.size()));
  }
  return r.text(std::move(out));
}

Value list(Render& r, const Value& input, Args& args) {
  Bound(r, "list", args, {});
  return r.sequence(r.iterate(input));
}

Value items(Render& r, const Value& input, Args& args) {
  Bound(r, "items", args, {});
  if (input.is(Type::undefined)) return generator(r, {});
  if (!input.is(Type::dict)) r.fail("items needs a dict, not a {}.", type_name(input));
  std::vector<Value> pairs;
  for (const auto& [key, value] : input.dict().entries) {
    pairs.push_back(r.sequence({key, value}, Flavor::tuple));
  }
  return generator(r, std::move(pairs));
}

Value reverse(Render& r, const Value& input, Args& args) {
  Bound(r, "reverse", args, {});
  if (input.is(Type::string)) {
    std::vector<int32_t> points = decode_all(input.text());
    std::reverse(points.begin(), points.end());
    return r.text(encode_all(points));
  }
  r.need_defined(input);
  std::vector<Value> values = r.iterate(input);
  std::reverse(values.begin(), values.end());
  return generator(r, std::move(values));
}

// The order of `keys` as positions; equal keys keep their order, also in reverse.
std::vector<size_t> sorted_order(Render& r, const std::vector<Value>& keys, bool reversed) {
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    r.step();
    return reversed ? less(r, keys[b], keys[a]) : less(r, keys[a], keys[b]);
  });
  return order;
}

// One key for each item: an attribute, or a tuple of them for "a,b".
std::vector<Value> sort_keys(Render& r, const std::vector<Value>& values, const Value& path,
                             bool case_sensitive) {
  std::vector<Value> paths;
  if (path.is(Type::string)) {
    const std::string& names = path.text();
    for (size_t begin = 0; begin <= names.size();) {
      const size_t end = std::min(names.find(',', begin), names.size());
      paths.push_back(r.text(names.substr(begin, end - begin)));
      begin = end + 1;
    }
  } else {
    paths.push_back(path);
  }
  std::vector<Value> keys;
  for (const Value& v : values) {
    std::vector<Value> parts;
    for (const Value& p : paths) {
      parts.push_back(fold_case(r, attribute_path(r, v, p, Value()), case_sensitive));
    }
    keys.push_back(r.sequence(std::move(parts)));
  }
  return keys;
}

Value sort(Render& r, const Value& input, Args& args) {
  const Bound b(r, "sort", args, {"reverse", "case_sensitive", "attribute"});
  const std::vector<Value> values = r.iterate(input);
  const std::vector<Value> keys = sort_keys(r, values, b.get(2, Value()), b.flag(1, false));
  std::vector<Value> out;
  for (const size_t i : sorted_order(r, keys, b.flag(0, false))) out.push_back(values[i]);
  return r.sequence(std::move(out));
}

Value dict_sort(Render& r, const Value& input, Args& args) {
  const Bound b(r, "dictsort", args, {"case_sensitive", "by", "reverse"});
  const std::string_view by = b.text(1, "key");
  if (by != "key" && by != "value") r.fail("dictsort: by is \"key\" or \"value\".");
  r.need_defined(input);
  if (!input.is(Type::dict)) r.fail("dictsort needs a dict, not a {}.", type_name(input));
  const auto& entries = input.dict().entries;
  std::vector<Value> keys, out;
  for (const auto& [key, value] : entries) {
    keys.push_back(fold_case(r, by == "key" ? key : value, b.flag(0, false)));
  }
  for (const size_t i : sorted_order(r, keys, b.flag(2, false))) {
    out.push_back(r.sequence({entries[i].first, entries[i].second}, Flavor::tuple));
  }
  return r.sequence(std::move(out));
}

Value unique(Render& r, const Value& input, Args& args) {
  const Bound b(r, "unique", args, {"case_sensitive", "attribute"});
  std::set<std::string> seen;
  std::vector<Value> out;
  for (const Value& v : r.iterate(input)) {
    const Value key =
        fold_case(r, attribute_path(r, v, b.get(1, Value()), Value()), b.flag(0, false));
    r.need_key(key);
    if (seen.insert(canonical_key(key)).second) out.push_back(v);
  }
  return generator(r, std::move(out));
}

template <bool Most>
Value extreme(Render& r, const Value& input, Args& args) {
  const Bound b(r, Most ? "max" : "min", args, {"case_sensitive", "attribute"});
  const std::vector<Value> values = r.iterate(input);
  if (values.empty()) {
    return Value::undefined(Absence::hint, r.text("min and max: the list is empty."));
  }
  const auto key_of = [&](const Value& v) {
    return fold_case(r, attribute_path(r, v, b.get(1, Value()), Value()), b.flag(0, false));
  };
  size_t best = 0;
  Value best_key = key_of(values[0]);
  for (size_t i = 1; i < values.size(); ++i) {
    const Value key = key_of(values[i]);
    if (!(Most ? less(r, best_key, key) : less(r, key, best_key))) continue;
    best = i;
    best_key = key;
  }
  return values[best];
}

Value sum(Render& r, const Value& input, Args& args) {
  const Bound b(r, "sum", args, {"attribute", "start"});
  Value total = b.get(1, Value(0));
  if (total.is(Type::string)) r.fail("sum cannot add texts; use join.");
  for (const Value& v : r.iterate(input)) {
    r.step();
    total =
        binary_operation(r, Operator::add, total, attribute_path(r, v, b.get(0, Value()), Value()));
  }
  return total;
}

Value batch(Render& r, const Value& input, Args& args) {
  const Bound b(r, "batch", args, {"linecount", "fill_with"}, 1);
  const int64_t size = b.whole(0, 1);
  std::vector<Value> out, line;
  for (const Value& v : r.iterate(input)) {
    if (static_cast<int64_t>(line.size()) == size) {
      out.push_back(r.sequence(std::move(line)));
      line.clear();
    }
    line.push_back(v);
  }
  if (!line.empty()) {
    const int64_t missing = b.given(1) ? size - static_cast<int64_t>(line.size()) : 0;
    if (missing > 0) {
      r.reserve(missing < (INT64_C(1) << 40) ? missing * int64_t{sizeof(Value)} : missing);
      line.resize(static_cast<size_t>(size), b[1]);
    }
    out.push_back(r.sequence(std::move(line)));
  }
  return generator(r, std::move(out));
}

Value slice(Render& r, const Value& input, Args& args) {
  const Bound b(r, "slice", args, {"slices", "fill_with"}, 1);
  const int64_t slices = b.whole(0, 1);
  if (slices == 0) r.fail("slice: there are 0 slices to make.");
  const std::vector<Value> values = r.iterate(input);
  if (slices < 0) return generator(r, {});
  r.step(slices);
  const auto n = static_cast<int64_t>(values.size());
  const int64_t each = n / slices, extra = n % slices;
  std::vector<Value> out;
  int64_t at = 0;
  for (int64_t i = 0; i < slices; ++i) {
    const int64_t end = at + each + (i < extra ? 1 : 0);
    std::vector<Value> part(values.begin() + at, values.begin() + end);
    if (b.given(1) && i >= extra) part.push_back(b[1]);
    out.push_back(r.sequence(std::move(part)));
    at = end;
  }
  return generator(r, std::move(out));
}

Value group_by(Render& r, const Value& input, Args& args) {
  const Bound b(r, "groupby", args, {"attribute", "default", "case_sensitive"}, 1);
  const Value fallback = b.get(1, Value());
  const std::vector<Value> values = r.iterate(input);
  std::vector<Value> keys, out, group;
  for (const Value& v : values) {
    keys.push_back(fold_case(r, attribute_path(r, v, b[0], fallback), b.flag(2, false)));
  }
  const std::vector<size_t> order = sorted_order(r, keys, false);
  for (size_t i = 0; i < order.size(); ++i) {
    group.push_back(values[order[i]]);
    if (i + 1 < order.size() && same(r, keys[order[i]], keys[order[i + 1]])) continue;
    const Value key = attribute_path(r, group[0], b[0], fallback);
    Value pair = r.sequence({key, r.sequence(std::move(group))}, Flavor::tuple);
    group.clear();
    pair.sequence().group = true;
    out.push_back(std::move(pair));
  }
  return r.sequence(std::move(out));
}

Value map(Render& r, const Value& input, Args& args) {
  std::vector<Value> out;
  if (!truthy(input)) return generator(r, {});
  if (args.positional.empty()) {
    const Bound b(r, "map", args, {"attribute", "default"}, 1);
    for (const Value& v : r.iterate(input)) {
      r.step();
      out.push_back(attribute_path(r, v, b[0], b.get(1, Value())));
    }
    return generator(r, std::move(out));
  }
  const Value name = args.positional[0];
  if (!name.is(Type::string)) r.fail("map needs the name of a filter.");
  for (const Value& v : r.iterate(input)) {
    Args inner;
    inner.positional.assign(args.positional.begin() + 1, args.positional.end());
    inner.named = args.named;
    out.push_back(call_filter(r, name.text(), v, inner));
  }
  return generator(r, std::move(out));
}

template <bool Keep, bool ByAttribute>
Value choose(Render& r, const Value& input, Args& args) {
  constexpr size_t kTest = ByAttribute ? 1 : 0;
  if (!truthy(input)) return generator(r, {});
  if (args.positional.size() < kTest) r.fail("selectattr and rejectattr need an attribute.");
  const bool has_test = args.positional.size() > kTest;
  if (has_test && !args.positional[kTest].is(Type::string)) r.fail("a test is given by its name.");
  std::vector<Value> out;
  for (const Value& v : r.iterate(input)) {
    r.step();
    const Value subject = ByAttribute ? attribute_path(r, v, args.positional[0], Value()) : v;
    bool passes = false;
    if (has_test) {
      Args inner;
      inner.positional.assign(args.positional.begin() + kTest + 1, args.positional.end());
      inner.named = args.named;
      passes = call_test(r, args.positional[kTest].text(), subject, inner);
    } else {
      passes = truthy(subject);
    }
    if (passes == Keep) out.push_back(v);
  }
  return generator(r, std::move(out));
}

Value attr(Render& r, const Value& input, Args& args) {
  const Bound b(r, "attr", args, {"name"}, 1);
  const std::string_view name = b.text(0, "");
  // A key of a dict is no attribute of it.
  bool known = false;
  if (input.is(Type::dict) && find_method(input, name, known) == nullptr) {
    return Value::undefined(Absence::attribute, b[0], input.type());
  }
  return r.attribute(input, b[0]);
}

const std::unordered_map<std::string_view, FilterFunction>& sequence_filters() {
  static const std::unordered_map<std::string_view, FilterFunction> filters = {
      {"length", length},
      {"count", length},
      {"first", first},
      {"last", last},
      {"join", join},
      {"list", list},
      {"items", items},
      {"reverse", reverse},
      {"sort", sort},
      {"dictsort", dict_sort},
      {"unique", unique},
      {"min", extreme<false>},
      {"max", extreme<true>},
      {"sum", sum},
      {"batch", batch},
      {"slice", slice},
      {"groupby", group_by},
      {"map", map},
      {"select", choose<true, false>},
      {"reject", choose<false, false>},
      {"selectattr", choose<true, true>},
      {"rejectattr", choose<false, true>},
      {"attr", attr},
  };
  return filters;
}

}  // namespace

FilterFunction find_sequence_filter(std::string_view name) {
  const auto found = sequence_filters().find(name);
  return found == sequence_filters().end() ? nullptr : found->second;
}

}  // namespace tarn::lm::jinja
