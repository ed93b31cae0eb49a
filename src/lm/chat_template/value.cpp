#include "lm/chat_template/value.h"

#include <algorithm>
#include <cmath>

#include "lm/chat_template/unicode.h"

namespace tarn::lm::jinja {
namespace {

// A dict of at most this many entries is searched front to back.
constexpr size_t kIndexedFrom = 9;

bool equal_sequences(const Sequence& a, const Sequence& b) {
  if (a.flavor != b.flavor || a.items.size() != b.items.size()) return false;
  if (!a.indexable()) return &a == &b;
  return std::equal(a.items.begin(), a.items.end(), b.items.begin(), equal);
}

bool equal_dicts(const Dict& a, const Dict& b) {
  if (a.entries.size() != b.entries.size()) return false;
  return std::all_of(a.entries.begin(), a.entries.end(), [&](const auto& entry) {
    const Value* other = b.find(entry.first);
    return other != nullptr && equal(entry.second, *other);
  });
}

template <class T>
int order(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : a == b ? 0 : 2;
}

}  // namespace

Text::Text(std::string s, bool is_markup)
    : text(std::move(s)), length(code_points(text)), markup(is_markup) {
  weight = 1 + static_cast<int64_t>(text.size() >> 10);
}

int64_t Dict::locate(const Value& key) const {
  if (entries.size() >= kIndexedFrom) {
    const auto found =
        key.is(Type::string) ? index_.find(key.text()) : index_.find(canonical_key(key));
    return found == index_.end() ? -1 : static_cast<int64_t>(found->second);
  }
  for (size_t i = 0; i < entries.size(); ++i) {
    if (equal(entries[i].first, key)) return static_cast<int64_t>(i);
  }
  return -1;
}

const Value* Dict::find(const Value& key) const {
  const int64_t i = locate(key);
  return i < 0 ? nullptr : &entries[static_cast<size_t>(i)].second;
}

const Value* Dict::find(std::string_view key) const {
  if (entries.size() >= kIndexedFrom) {
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : &entries[found->second].second;
  }
  for (const auto& [k, v] : entries) {
    if (k.is(Type::string) && k.text() == key) return &v;
  }
  return nullptr;
}

void Dict::set(const Value& key, Value value) {
  const int64_t i = locate(key);
  if (i >= 0) {
    entries[static_cast<size_t>(i)].second = std::move(value);
    return;
  }
  entries.emplace_back(key, std::move(value));
  if (entries.size() < kIndexedFrom) return;
  const size_t from = entries.size() == kIndexedFrom ? 0 : entries.size() - 1;
  for (size_t k = from; k < entries.size(); ++k) index_[canonical_key(entries[k].first)] = k;
}

int64_t weight(const Value& v) { return v.identity() == nullptr ? 1 : v.identity()->weight; }

int depth(const Value& v) { return v.identity() == nullptr ? 0 : v.identity()->depth; }

bool truthy(const Value& v) {
  switch (v.type()) {
    case Type::missing:
    case Type::undefined:
    case Type::none:
      return false;
    case Type::boolean:
    case Type::integer:
      return v.whole() != 0;
    case Type::real:
      return v.number() != 0;
    case Type::string:
      return !v.text().empty();
    case Type::sequence:
      return v.sequence().flavor == Flavor::generator || !v.sequence().items.empty();
    case Type::dict:
      return !v.dict().entries.empty();
    default:
      return true;
  }
}

bool equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_whole() && b.is_whole()) return a.whole() == b.whole();
    return a.number() == b.number();
  }
  if (a.type() != b.type()) return false;
  switch (a.type()) {
    case Type::undefined:
    case Type::none:
      return true;
    case Type::string:
      return a.text() == b.text();
    case Type::sequence:
      return a.identity() == b.identity() || equal_sequences(a.sequence(), b.sequence());
    case Type::dict:
      return a.identity() == b.identity() || equal_dicts(a.dict(), b.dict());
    default:
      return a.identity() == b.identity();
  }
}

bool hashable(const Value& v) {
  if (v.is(Type::dict)) return false;
  if (!v.is(Type::sequence)) return true;
  const Sequence& s = v.sequence();
  if (s.flavor == Flavor::list) return false;
  return s.flavor != Flavor::tuple || std::all_of(s.items.begin(), s.items.end(), hashable);
}

std::string canonical_key(const Value& v) {
  // Text stands for itself; everything else begins with a zero byte and its kind.
  if (v.is(Type::string)) {
    return v.text().empty() || v.text()[0] != '\0' ? v.text() : std::string("\0s", 2) + v.text();
  }
  std::string key(1, '\0');
  if (v.is_number()) {
    const double d = v.number();
    const bool whole = v.is_whole() || (std::trunc(d) == d && std::abs(d) < 9e18);
    const int64_t i = v.is_whole() ? v.whole() : whole ? static_cast<int64_t>(d) : 0;
    return key + (whole ? "i" + std::to_string(i) : "r" + std::to_string(d));
  }
  if (v.is(Type::sequence) && v.sequence().flavor == Flavor::tuple) {
    key += 't';
    for (const Value& item : v.sequence().items) {
      const std::string part = canonical_key(item);
      key += std::to_string(part.size()) + ':' + part;
    }
    return key;
  }
  const auto address = reinterpret_cast<uintptr_t>(v.is(Type::undefined) ? nullptr : v.identity());
  return key + "o" + std::to_string(static_cast<int>(v.type())) + ":" + std::to_string(address);
}

int compare(const Value& a, const Value& b, bool& comparable) {
  if (a.is_number() && b.is_number()) {
    if (a.is_whole() && b.is_whole()) return order(a.whole(), b.whole());
    return order(a.number(), b.number());
  }
  // UTF-8 bytes sort as code points do.
  if (a.is(Type::string) && b.is(Type::string)) return order(a.text(), b.text());
  if (a.is(Type::sequence) && b.is(Type::sequence)) {
    const Sequence &x = a.sequence(), &y = b.sequence();
    if (x.flavor == y.flavor && x.flavor <= Flavor::tuple) {
      const size_t n = std::min(x.items.size(), y.items.size());
      for (size_t i = 0; i < n; ++i) {
        if (!equal(x.items[i], y.items[i])) return compare(x.items[i], y.items[i], comparable);
      }
      return order(x.items.size(), y.items.size());
    }
  }
  comparable = false;
  return 2;
}

std::string_view type_name(Type type) {
  switch (type) {
    case Type::missing:
    case Type::undefined:
      return "Undefined";
    case Type::none:
      return "NoneType";
    case Type::boolean:
      return "bool";
    case Type::integer:
      return "int";
    case Type::real:
      return "float";
    case Type::string:
      return "str";
    case Type::sequence:
      return "list";
    case Type::dict:
      return "dict";
    case Type::name_space:
      return "Namespace";
    case Type::function:
      return "function";
    case Type::macro:
      return "Macro";
    case Type::loop:
      return "LoopContext";
    case Type::cycler:
      return "Cycler";
    case Type::joiner:
      return "Joiner";
  }
  return "object";
}

std::string_view type_name(const Value& v) {
  if (!v.is(Type::sequence)) return type_name(v.type());
  switch (v.sequence().flavor) {
    case Flavor::list:
      return "list";
    case Flavor::tuple:
      return "tuple";
    case Flavor::range:
      return "range";
    case Flavor::generator:
      return "generator";
    case Flavor::items:
      return "dict_items";
    case Flavor::keys:
      return "dict_keys";
    case Flavor::values:
      return "dict_values";
  }
  return "list";
}

}  // namespace tarn::lm::jinja
