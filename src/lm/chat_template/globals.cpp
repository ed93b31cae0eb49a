// The functions that every template can call.
#include <ctime>
#include <unordered_map>

#include "lm/chat_template/filters.h"
#include "lm/chat_template/print.h"
#include "lm/chat_template/unicode.h"

namespace tarn::lm::jinja {
namespace {

Value range(Render& r, const Value&, Args& args) {
  if (!args.named.empty()) r.fail("range takes no keyword arguments.");
  const Bound b(r, "range", args, {"start", "stop", "step"}, 1);
  if (!b.has(1)) return r.range(0, b.whole(0, 0), 1);
  return r.range(b.whole(0, 0), b.whole(1, 0), b.whole(2, 1));
}

// dict(pairs or a dict, name=value...)
void fill(Render& r, Dict& d, Args& args) {
  if (args.positional.size() > 1) r.fail("dict takes one argument and keywords.");
  if (!args.positional.empty()) {
    const Value& from = args.positional[0];
    r.need_defined(from);
    if (from.is(Type::dict)) {
      for (const auto& [key, value] : from.dict().entries) r.put(d, key, value);
    } else {
      for (const Value& item : r.iterate(from)) {
        const std::vector<Value> pair = r.iterate(item);
        if (pair.size() != 2) r.fail("dict: an item has {} values, not 2.", pair.size());
        r.put(d, pair[0], pair[1]);
      }
    }
  }
  for (const auto& [name, value] : args.named) r.put(d, r.text(name), value);
}

Value dict(Render& r, const Value&, Args& args) {
  auto d = std::make_shared<Dict>();
  fill(r, *d, args);
  return r.dict(std::move(d));
}

Value name_space(Render& r, const Value&, Args& args) {
  auto n = std::make_shared<Namespace>();
  fill(r, n->attributes, args);
  return r.name_space(std::move(n));
}

Value cycler(Render& r, const Value&, Args& args) {
  if (args.positional.empty()) r.fail("cycler needs items to cycle through.");
  return r.cycler(std::move(args.positional));
}

Value joiner(Render& r, const Value&, Args& args) {
  const Bound b(r, "joiner", args, {"sep"});
  return r.joiner(b.get(0, r.text(", ")));
}

Value raise_exception(Render& r, const Value&, Args& args) {
  const Bound b(r, "raise_exception", args, {"message"}, 1);
  std::string message;
  append_text(r, message, b[0]);
  r.fail_with(message);
}

Value now(Render& r, const Value&, Args& args) {
  const Bound b(r, "strftime_now", args, {"format"}, 1);
  const std::string format(b.text(0, ""));
  constexpr size_t kMostFormat = 1024;
  if (format.size() > kMostFormat)
    r.fail("strftime_now: the format exceeds {} bytes.", kMostFormat);
  const std::time_t seconds = std::time(nullptr);
  std::tm parts{};
  localtime_r(&seconds, &parts);
  // A space in front, so that an empty result differs from one that does not fit.
  std::string out(64 * (format.size() + 2), '\0');
  out.resize(std::strftime(out.data(), out.size(), (" " + format).c_str(), &parts));
  if (out.empty() || !valid_utf8(out)) r.fail("strftime_now: '{}' gives no text.", format);
  return r.text(out.substr(1));
}

}  // namespace

NativeFunction find_global(std::string_view name) {
  static const std::unordered_map<std::string_view, NativeFunction> globals = {
      {"range", range},      {"dict", dict},     {"namespace", name_space},
      {"cycler", cycler},    {"joiner", joiner}, {"raise_exception", raise_exception},
      {"strftime_now", now},
  };
  const auto found = globals.find(name);
  return found == globals.end() ? nullptr : found->second;
}

}  // namespace tarn::lm::jinja
