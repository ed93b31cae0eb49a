// Methods of dicts, lists, loops and cyclers.
#include <algorithm>
#include <unordered_map>

#include "lm/chat_template/filters.h"

namespace tarn::lm::jinja {
namespace {

using Table = std::unordered_map<std::string_view, NativeFunction>;

Value view(Render& r, const Value& self, Flavor flavor) {
  std::vector<Value> items;
  items.reserve(self.dict().entries.size());
  for (const auto& [key, value] : self.dict().entries) {
    if (flavor == Flavor::items) {
      items.push_back(r.sequence({key, value}, Flavor::tuple));
    } else {
      items.push_back(flavor == Flavor::keys ? key : value);
    }
  }
  return r.sequence(std::move(items), flavor);
}

template <Flavor F>
Value dict_view(Render& r, const Value& self, Args& args) {
  Bound(r, F == Flavor::items ? "items" : F == Flavor::keys ? "keys" : "values", args, {});
  return view(r, self, F);
}

Value dict_get(Render& r, const Value& self, Args& args) {
  if (!args.named.empty()) r.fail("get takes no keyword arguments.");
  const Bound b(r, "get", args, {"key", "default"}, 1);
  r.need_key(b[0]);
  const Value* found = self.dict().find(b[0]);
  return found != nullptr ? *found : b.get(1, Value());
}

Value dict_copy(Render& r, const Value& self, Args& args) {
  Bound(r, "copy", args, {});
  auto d = std::make_shared<Dict>();
  for (const auto& [key, value] : self.dict().entries) r.put(*d, key, value);
  return r.dict(std::move(d));
}

Value list_copy(Render& r, const Value& self, Args& args) {
  Bound(r, "copy", args, {});
  return r.sequence(self.sequence().items);
}

Value list_count(Render& r, const Value& self, Args& args) {
  const Bound b(r, "count", args, {"value"}, 1);
  int64_t n = 0;
  for (const Value& v : self.sequence().items) n += same(r, v, b[0]) ? 1 : 0;
  return n;
}

Value list_index(Render& r, const Value& self, Args& args) {
  const Bound b(r, "index", args, {"value", "start", "stop"}, 1);
  const auto& items = self.sequence().items;
  const auto n = static_cast<int64_t>(items.size());
  const auto bound = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + n : i, 0, n); };
  const int64_t stop = bound(b.whole(2, n));
  for (int64_t i = bound(b.whole(1, 0)); i < stop; ++i) {
    if (same(r, items[static_cast<size_t>(i)], b[0])) return i;
  }
  r.fail("index: the list does not hold the value.");
}

Value loop_cycle(Render& r, const Value& self, Args& args) {
  if (args.positional.empty()) r.fail("loop.cycle needs items to cycle through.");
  const auto n = static_cast<int64_t>(args.positional.size());
  return args.positional[static_cast<size_t>(std::max<int64_t>(self.object<Loop>().index, 0) % n)];
}

Value loop_changed(Render& r, const Value& self, Args& args) {
  auto& loop = self.object<Loop>();
  if (loop.finished) r.fail("the loop is over.");
  const Value now = r.sequence(std::move(args.positional), Flavor::tuple);
  if (!loop.changed.is(Type::none) && same(r, loop.changed, now)) return false;
  loop.changed = now;
  return true;
}

Value cycler_next(Render& r, const Value& self, Args& args) {
  Bound(r, "next", args, {});
  auto& cycler = self.object<Cycler>();
  const Value v = cycler.items[cycler.at];
  cycler.at = (cycler.at + 1) % cycler.items.size();
  return v;
}

Value cycler_reset(Render& r, const Value& self, Args& args) {
  Bound(r, "reset", args, {});
  self.object<Cycler>().at = 0;
  return {};
}

// A null function: Python has the method, and the sandbox refuses it because it changes the value.
const Table& table_of(const Value& self) {
  static const Table none;
  static const Table dicts = {
      {"items", dict_view<Flavor::items>},
      {"keys", dict_view<Flavor::keys>},
      {"values", dict_view<Flavor::values>},
      {"get", dict_get},
      {"copy", dict_copy},
      {"clear", nullptr},
      {"pop", nullptr},
      {"popitem", nullptr},
      {"setdefault", nullptr},
      {"update", nullptr},
  };
  static const Table lists = {
      {"count", list_count}, {"index", list_index}, {"copy", list_copy},  {"append", nullptr},
      {"clear", nullptr},    {"pop", nullptr},      {"reverse", nullptr}, {"insert", nullptr},
      {"sort", nullptr},     {"extend", nullptr},   {"remove", nullptr},
  };
  static const Table tuples = {{"count", list_count}, {"index", list_index}};
  static const Table loops = {{"cycle", loop_cycle}, {"changed", loop_changed}};
  static const Table cyclers = {{"next", cycler_next}, {"reset", cycler_reset}};
  switch (self.type()) {
    case Type::dict:
      return dicts;
    case Type::sequence:
      if (self.sequence().flavor == Flavor::list) return lists;
      return self.sequence().indexable() ? tuples : none;
    case Type::loop:
      return loops;
    case Type::cycler:
      return cyclers;
    default:
      return none;
  }
}

}  // namespace

NativeFunction find_method(const Value& self, std::string_view name, bool& known) {
  if (self.is(Type::string)) return find_text_method(name, known);
  const Table& table = table_of(self);
  const auto found = table.find(name);
  if (found == table.end()) return nullptr;
  known = true;
  return found->second;
}

}  // namespace tarn::lm::jinja
